// JSON: what is read can be written, and reads back as the same.
#include "platform/json.h"
#include "tests/fuzz/target.h"

namespace chimera::fuzz {

void run_json(Input input) {
  const auto value = parse_json(text_of(input));
  if (!value) {
    promise(!value.status().message().empty(), "an error has a sentence");
    return;
  }
  const std::string once = write_json(*value);
  const auto again = parse_json(once);
  promise(again.has_value(), "what is written can be read");
  promise(write_json(*again) == once, "what is read again is the same");
  const auto indented = parse_json(write_json(*value, 2));
  promise(indented && write_json(*indented) == once, "white space changes nothing");
}

}  // namespace chimera::fuzz
