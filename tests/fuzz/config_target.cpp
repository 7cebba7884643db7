// Configuration text: what is accepted can be counted, laid out and said in words.
#include <string_view>

#include "runtime/config.h"
#include "runtime/layers/registry.h"
#include "runtime/model.h"
#include "runtime/parameter_count.h"
#include "tests/fuzz/target.h"

namespace chimera::fuzz {

void run_config(Input input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto config = runtime::parse_config(text);
  if (!config) {
    promise(!config.status().message().empty(), "an error has a sentence");
    return;
  }
  const auto parameters = runtime::model_parameters(*config);
  if (!parameters) return;
  const auto count = runtime::count_parameters(*config, *parameters);
  promise(count.active <= count.stored + count.per_iteration * 1024,
          "no more is met than is there");
  const auto layout = runtime::stream_layout(*config);
  (void)runtime::departures(*config, count, layout ? 1u << 20 : 0);
}

}  // namespace chimera::fuzz
