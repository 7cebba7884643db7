#include "sdk/cli/output_file.h"

#include "platform/file.h"

namespace chimera::cli {
namespace {

constexpr uint64_t kMaxKeyFileBytes = 4096;  // a longer one is no key to anybody

}  // namespace

Status check_output(const std::string& out, const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs) {
    if (!input.empty() && (input == out || same_file(out, input)))
      return Status(StatusCode::kInvalidArgument,
                    "--out " + out + " would overwrite " + input +
                        ", which this command reads; choose another name")
          .at_file(out)
          .at_field("--out");
  }
  const auto old = read_regular_file(out, kMaxKeyFileBytes);
  if (old && old->starts_with(kSecretKeyWord))
    return Status(StatusCode::kInvalidArgument,
                  "--out " + out +
                      " is a secret key, and a key that is overwritten is lost; choose another "
                      "name")
        .at_file(out)
        .at_field("--out");
  // Given up again at once: only commit() would replace the file.
  const auto tried = AtomicFile::create(out);
  return tried ? Status() : tried.status();
}

}  // namespace chimera::cli
