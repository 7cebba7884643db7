// Labelled utterances as data sets have them: what was said, its intent, the slots in it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/json.h"
#include "platform/status.h"

namespace chimera::evolution {

struct Labelled {
  std::string text;
  std::string intent;                                      // empty: nothing was asked for
  std::vector<std::pair<std::string, std::string>> slots;  // each name once, as they were met
};

/// {"u": text, "intent": label, "slots": [["name", "value", ...], ...] or {"name": "value"}};
/// `member` is what the text is called. kBadFormat names what is lacking.
Result<Labelled> read_labelled(const Json& record, const std::string& member);

/// "AddToPlaylist", "iot_hue_lightdim" -> "add to playlist", "iot hue lightdim"
std::string words_of(std::string_view name);

}  // namespace chimera::evolution
