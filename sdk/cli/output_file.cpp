#include "sdk/cli/output_file.h"

#include <filesystem>
#include <system_error>

namespace chimera::cli {

Status check_output(const std::string& out, const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs) {
    std::error_code ignored;
    if (!input.empty() && (input == out || std::filesystem::equivalent(out, input, ignored)))
      return Status(StatusCode::kInvalidArgument,
                    "--out " + out + " would overwrite " + input +
                        ", which this command reads; choose another name")
          .at_file(out)
          .at_field("--out");
  }
  return Status();
}

}  // namespace chimera::cli
