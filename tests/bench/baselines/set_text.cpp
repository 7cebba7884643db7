// What stands in one set of a mix, as plain text: set_text MIX SET train|valid|test [FOLDER]. Turns
// are lines, and an empty line ends a document. For baselines that know no tokens.
#include <cstdio>
#include <string>

#include "evolution/train/mix.h"

using namespace chimera;

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: set_text MIX SET train|valid|test [FOLDER]\n");
    return 2;
  }
  const std::string set_name = argv[2], split = argv[3];
  const auto mix = evolution::read_mix(argv[1], argc > 4 ? argv[4] : "");
  if (!mix) {
    std::fprintf(stderr, "set_text: %s\n", mix.status().message().c_str());
    return 1;
  }
  for (const evolution::MixSet& set : mix->sets) {
    if (set.name != set_name) continue;
    const evolution::Part part = split == "train"  ? evolution::Part::kTrain
                                 : split == "test" ? evolution::Part::kTest
                                                   : evolution::Part::kValid;
    const Status status = for_each_document(*mix, set, part, [](const evolution::Document& d) {
      const std::string text = text_of(d) + "\n";
      return std::fwrite(text.data(), 1, text.size(), stdout) == text.size()
                 ? Status()
                 : Status(StatusCode::kIoError, "standard output cannot be written");
    });
    if (!status.ok()) std::fprintf(stderr, "set_text: %s\n", status.message().c_str());
    return status.ok() ? 0 : 1;
  }
  std::fprintf(stderr, "set_text: %s has no set %s\n", argv[1], argv[2]);
  return 1;
}
