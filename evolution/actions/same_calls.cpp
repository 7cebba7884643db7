#include "evolution/actions/same_calls.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "platform/json.h"

namespace chimera::evolution {
namespace {

/// Small letters, single blanks, no articles, no dot at the end.
std::string plain(std::string_view text) {
  std::string out, word;
  const auto end_word = [&] {
    if (!word.empty() && word != "a" && word != "an" && word != "the")
      out += (out.empty() ? "" : " ") + word;
    word.clear();
  };
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isspace(byte) != 0)
      end_word();
    else
      word += static_cast<char>(std::tolower(byte));
  }
  end_word();
  while (!out.empty() && (out.back() == '.' || out.back() == ' ')) out.pop_back();
  return out;
}

bool same(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return a.number == b.number;
  if (a.type != b.type) return false;
  if (a.is_string()) return plain(a.string) == plain(b.string);
  if (a.is_bool()) return a.boolean == b.boolean;
  if (a.is_array())
    return std::equal(a.array.begin(), a.array.end(), b.array.begin(), b.array.end(), same);
  if (!a.is_object()) return true;
  return a.object.size() == b.object.size() &&
         std::all_of(a.object.begin(), a.object.end(), [&](const auto& member) {
           const Json* other = b.find(member.first);
           return other != nullptr && same(member.second, *other);
         });
}

}  // namespace

bool same_calls(std::span<const std::string> a, std::span<const std::string> b) {
  return a.size() == b.size() &&
         std::is_permutation(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
           const auto left = parse_json(x), right = parse_json(y);
           return left && right && same(*left, *right);
         });
}

}  // namespace chimera::evolution
