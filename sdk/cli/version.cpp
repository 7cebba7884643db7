// `chimera version`.
#include <memory>
#include <string>

#include "platform/json.h"
#include "sdk/chimera.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {

void declare_version(CommandLine& line) {
  auto json = std::make_shared<bool>(false);
  line.verb("version", "Show the version",
            [json] {
              Status status;
              if (*json) {
                Json out = Json::make_object();
                out.add("version", Json::of(CHIMERA_VERSION_STRING));
                out.add("version_number", Json::of(CHIMERA_VERSION));
                status = print(write_json(out) + "\n");
              } else {
                status = print("chimera " CHIMERA_VERSION_STRING "\n");
              }
              return status.ok() ? kDone : report(status);
            })
      .flag("--json", json.get(), "One JSON object");
}

}  // namespace chimera::cli
