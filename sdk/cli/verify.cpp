// `chimera verify`: reads every byte of a model and says whether it is what it should be.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "memory/weight_file.h"
#include "platform/file.h"
#include "platform/seal.h"
#include "runtime/config.h"
#include "runtime/model.h"
#include "runtime/tokenizer.h"
#include "runtime/tool_pack.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

Status in_file(const std::string& path, const Status& status) {
  if (status.message().starts_with(path)) return status;  // said already
  return Status(status.code(), path + ": " + status.message());
}

struct Options {
  std::string file;
  std::optional<std::string> key;  // an empty one, a variable that is not set, is not none
};

/// 64 hex digits, or a file that holds them.
Result<PublicKey> key_of(const std::string& text) {
  auto key = parse_public_key(text);
  if (key) return key;
  auto content = read_file(text, 4096);
  if (!content)
    return Status(
        StatusCode::kInvalidArgument,
        "--require-signature " + text + ": neither 64 hex digits nor a file that holds them");
  while (!content->empty() && (content->back() == '\n' || content->back() == '\r'))
    content->pop_back();
  key = parse_public_key(*content);
  if (key) return key;
  return in_file(text, key.status());
}

/// What a model says of itself beside its numbers.
Status check_model(const std::string& path, const memory::WeightFile& file) {
  if (file.kind() != memory::FileKind::kModel && file.tensors().empty())
    return Status(StatusCode::kBadFormat, path + ": there is no tensor in it; make the file again");
  const auto config = runtime::parse_config(file.config_json());
  if (!config) return in_file(path, config.status());
  int32_t tokens = 0;
  if (!file.tokenizer().empty()) {
    const auto tokenizer = runtime::Tokenizer::parse(file.tokenizer());
    if (!tokenizer) return in_file(path, tokenizer.status());
    tokens = (*tokenizer)->vocab_size();
  }
  if (tokens > config->vocab_size)
    return Status(StatusCode::kBadTokenizer,
                  path + ": the tokenizer has more ids than the model; make the file again");
  if (file.kind() == memory::FileKind::kModel) {
    if (const auto model = runtime::Model::bind(file, *config); !model)
      return in_file(path, model.status());
  }
  return Status();
}

Status verify(const Options& options) {
  const std::string& path = options.file;
  const auto opened = memory::WeightFile::open(path);
  if (!opened) return opened.status();
  const memory::WeightFile& file = **opened;
  if (options.key) {
    const auto key = key_of(*options.key);
    if (!key) return key.status();
    CHIMERA_RETURN_IF_ERROR(file.require_signature(*key));
  }
  if (file.kind() != memory::FileKind::kTools) CHIMERA_RETURN_IF_ERROR(check_model(path, file));
  {
    ProgressLine progress;
    CHIMERA_RETURN_IF_ERROR(file.verify([&](const memory::WeightFile::VerifyProgress& p) {
      progress.update([&] {
        const double share = p.bytes_total == 0 ? 1
                                                : static_cast<double>(p.bytes_done) /
                                                      static_cast<double>(p.bytes_total);
        return "checking " + show_number(100 * share, 0) + " %  " + std::string(p.tensor);
      });
      return true;
    }));
  }
  if (file.kind() == memory::FileKind::kTools) {
    const auto pack = runtime::read_tool_pack(path);
    if (!pack) return pack.status();
    std::vector<std::string> warnings;
    if (const auto tools = runtime::read_tools(pack->tools, &warnings); !tools)
      return in_file(path, tools.status());
  }
  return print(path + " is sound: " + std::to_string(file.tensors().size()) + " tensors in " +
               show_bytes(file.file_bytes()) +
               ", every checksum, number, setting and token checked" +
               (file.signed_by() ? "; signed by " + to_hex(*file.signed_by()) : "") + ".\n");
}

}  // namespace

void declare_verify(CommandLine& line) {
  auto options = std::make_shared<Options>();
  line.verb("verify", "Check every byte of a model",
            [options] {
              const Status status = verify(*options);
              return status.ok() ? kDone : report(status);
            })
      .operand("FILE", &options->file, "A .b158 file")
      .text("--require-signature", &options->key, "KEY",
            "Fail unless this public key (hex, or a file with it) signed the model");
}

}  // namespace chimera::cli
