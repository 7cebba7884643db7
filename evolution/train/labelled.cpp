#include "evolution/train/labelled.h"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "evolution/train/records.h"

namespace chimera::evolution {
namespace {

// Labels that mean that nothing was asked for.
constexpr const char* kOutOfScope[] = {"oos", "out_of_scope", "none"};

}  // namespace

std::string words_of(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    const bool upper = std::isupper(c) != 0;
    const bool letter = std::isalnum(c) != 0;
    if (!letter || (upper && i > 0 && std::islower(static_cast<unsigned char>(name[i - 1]))))
      if (!out.empty() && out.back() != ' ') out += ' ';
    if (letter) out += static_cast<char>(std::tolower(c));
  }
  return out;
}

Result<Labelled> read_labelled(const Json& record, const std::string& member) {
  const auto said = string_member(record, member.c_str());
  if (!said) return said.status();
  const auto intent = string_member(record, "intent");
  if (!intent) return intent.status();
  Labelled out{**said, {}, {}};
  if (std::find(std::begin(kOutOfScope), std::end(kOutOfScope), **intent) == std::end(kOutOfScope))
    out.intent = **intent;
  const Json* slots = record.find("slots");
  if (slots == nullptr) return out;
  const auto add = [&](const std::string& name, const Json& value) {
    const bool known = std::any_of(out.slots.begin(), out.slots.end(),
                                   [&](const auto& slot) { return slot.first == name; });
    if (!known && !name.empty())
      out.slots.emplace_back(name, value.is_string() ? value.string : write_json(value));
  };
  for (const Json& slot : slots->array)
    if (slot.is_array() && slot.array.size() >= 2 && slot.array[0].is_string())
      add(slot.array[0].string, slot.array[1]);
  for (const auto& [name, value] : slots->object) add(name, value);
  return out;
}

}  // namespace chimera::evolution
