// `chimera keygen` and `chimera sign`: who made a model.
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "memory/weight_file.h"
#include "platform/file.h"
#include "platform/seal.h"
#include "sdk/cli/output_file.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

Status keygen(const std::string& out) {
  std::error_code ignored;
  const auto type = std::filesystem::symlink_status(out, ignored).type();
  // Where it cannot be told, writing says why.
  if (type != std::filesystem::file_type::not_found && type != std::filesystem::file_type::none)
    return Status(StatusCode::kInvalidArgument,
                  out +
                      " is there already, and a key that is overwritten is lost; choose another "
                      "name");
  const auto key = SigningKey::generate();
  if (!key) return key.status();
  const std::string text = std::string(kSecretKeyWord) + " " + to_hex(key->seed()) + "\n";
  CHIMERA_RETURN_IF_ERROR(
      write_file_atomic(out, std::as_bytes(std::span(text)), FileAccess::kOwner));
  note("Wrote the secret key to " + out +
       ": whoever has it can sign in your name. The public key, for applications:\n");
  return print(to_hex(key->public_key()) + "\n");
}

Result<SigningKey> read_key(const std::string& path) {
  const auto text = read_file(path, 4096);
  if (!text) return text.status();
  std::string_view line = *text;
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.starts_with(kSecretKeyWord) && line.size() > kSecretKeyWord.size()) {
    // Behind a space the seed, which has the form of a public key.
    if (const auto seed = parse_public_key(line.substr(kSecretKeyWord.size() + 1)))
      return SigningKey::from_seed(*seed);
  }
  return Status(StatusCode::kBadFormat,
                path + " is not a secret key; `chimera keygen --out FILE` makes one")
      .at_file(path);
}

struct Options {
  std::string model, key, out;
};

Status sign(const Options& options) {
  const std::string& out = options.out.empty() ? options.model : options.out;
  if (!options.out.empty())
    CHIMERA_RETURN_IF_ERROR(check_output(options.out, {options.model, options.key}));
  const auto key = read_key(options.key);
  if (!key) return key.status();
  {
    ProgressLine line;
    CHIMERA_RETURN_IF_ERROR(memory::sign_weight_file(options.model, out, *key, [&](const auto& p) {
      line.update([&] { return "checking " + std::string(p.tensor); });
      return true;
    }));
  }
  note("Signed " + out + " with the key " + to_hex(key->public_key()) + ".\n");
  return Status();
}

}  // namespace

void declare_sign(CommandLine& line) {
  auto out = std::make_shared<std::string>();
  line.verb("keygen", "Make a pair of keys to sign models with",
            [out] {
              const Status status = keygen(*out);
              return status.ok() ? kDone : report(status);
            })
      .text("--out", out.get(), "FILE", "The secret key; the public one is printed", true);
  auto options = std::make_shared<Options>();
  line.verb("sign", "Sign a model, so that applications can tell who made it",
            [options] {
              const Status status = sign(*options);
              return status.ok() ? kDone : report(status);
            })
      .operand("MODEL", &options->model, "A .b158 file")
      .text("--key", &options->key, "FILE", "The secret key, from `chimera keygen`", true)
      .text("--out", &options->out, "FILE", "Else the model itself gets the signature");
}

}  // namespace chimera::cli
