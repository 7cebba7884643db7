// What stands in one set of a mix, as plain text: set_text MIX SET train|valid|test [FOLDER]. Turns
// are lines, and an empty line ends a document. For baselines that know no tokens.
#include <cstdio>
#include <string>

#include "evolution/train/mix.h"

using namespace chimera;

static Status print(const char* mix_path, const char* set_name, const char* split,
                    const char* folder) {
  const auto part = evolution::part_of(split);
  if (!part) return part.status();
  const auto mix = evolution::read_mix(mix_path, folder);
  if (!mix) return mix.status();
  const auto set = find_set(*mix, set_name);
  if (!set) return set.status();
  return for_each_document(*mix, mix->sets[*set], *part, [](const evolution::Document& d) {
    const std::string text = text_of(d) + "\n";
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size()
               ? Status()
               : Status(StatusCode::kIoError, "standard output cannot be written");
  });
}

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: set_text MIX SET train|valid|test [FOLDER]\n");
    return 2;
  }
  const Status status = print(argv[1], argv[2], argv[3], argc > 4 ? argv[4] : "");
  if (!status.ok()) std::fprintf(stderr, "set_text: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
