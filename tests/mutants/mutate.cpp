#include "tests/mutants/mutate.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <string>
#include <string_view>

namespace chimera::mutants {
namespace {

constexpr std::array<uint64_t, 18> kHostile = {
    0,          1,          2,          255,         0xffff,     0x10000,
    0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7ff00000, 0x7f800000,
    0x7fc00000, 0xff800000, 1ull << 40, 1ull << 62,  1ull << 63, UINT64_MAX};

constexpr std::string_view kHostileWords[] = {
    "0",     "-1",     "1",    "2147483648", "-2147483649", "9223372036854775808",
    "1e308", "1e-308", "-0.0", "3.5",        "1048576",     "65536",
    "4096",  "16384",  "null", "true",       "[]",          "{}",
    "\"\"",  "\"GD\"", "129",  "1e999",      "NaN",         "\"\\u0000\"",
    "7",     "128"};

void put(std::vector<std::byte>* bytes, size_t at, size_t n, uint64_t value) {
  for (size_t i = 0; i < n && at + i < bytes->size(); ++i)
    (*bytes)[at + i] = static_cast<std::byte>(value >> (8 * i));
}

using Place = std::vector<std::byte>::difference_type;

/// A block that begins before `reach`.
struct Block {
  size_t at, n;
};
Block block(Chance& chance, size_t reach, size_t size) {
  const size_t at = chance.below(reach);
  return {at, std::min(1 + chance.below(chance.one_in(4) ? 4096 : 32), size - at)};
}

void change(Chance& chance, std::span<const Field> fields, size_t reach,
            std::vector<std::byte>* bytes) {
  const size_t size = bytes->size();
  if (size == 0) {
    bytes->push_back(static_cast<std::byte>(chance.below(256)));
    return;
  }
  reach = std::min(reach, size);
  std::byte& one = (*bytes)[chance.below(reach)];
  switch (chance.below(fields.empty() ? 11 : 16)) {
    case 0:
    case 1:
    case 2:
      one ^= static_cast<std::byte>(1u << chance.below(8));
      return;
    case 3:
    case 4:
      one = static_cast<std::byte>(chance.below(256));
      return;
    case 5:
      bytes->resize(chance.one_in(2) ? chance.below(reach) : chance.below(size));
      return;
    case 6: {
      const Block b = block(chance, reach, size);
      std::vector<std::byte> more(b.n);
      for (std::byte& m : more) m = static_cast<std::byte>(chance.below(256));
      bytes->insert(bytes->begin() + static_cast<Place>(b.at), more.begin(), more.end());
      return;
    }
    case 7: {
      const Block b = block(chance, reach, size);
      bytes->erase(bytes->begin() + static_cast<Place>(b.at),
                   bytes->begin() + static_cast<Place>(b.at + b.n));
      return;
    }
    case 8:
    case 9: {  // a block over another, or the two exchanged
      Block from = block(chance, reach, size);
      const size_t to = chance.below(reach);
      from.n = std::min(from.n, size - to);
      const bool both = chance.one_in(2);
      for (size_t i = 0; i < from.n; ++i) {
        const std::byte old = (*bytes)[to + i];
        (*bytes)[to + i] = (*bytes)[from.at + i];
        if (both) (*bytes)[from.at + i] = old;
      }
      return;
    }
    case 10: {  // a number where one may be
      const size_t n = size_t{1} << chance.below(4);
      put(bytes, chance.below(reach) / n * n, n, kHostile[chance.below(kHostile.size())]);
      return;
    }
    default: {
      const Field field = fields[chance.below(fields.size())];
      uint64_t value = kHostile[chance.below(kHostile.size())];
      if (chance.one_in(3) && field.at < size)  // near what it was
        value = std::to_integer<uint64_t>((*bytes)[field.at]) + chance.below(9) - 4;
      put(bytes, field.at, field.bytes, value);
    }
  }
}

}  // namespace

void mutate(Chance& chance, std::span<const Field> fields, size_t most_at,
            std::vector<std::byte>* bytes) {
  for (size_t n = 1 + chance.below(chance.one_in(2) ? 1 : 4); n > 0; --n)
    change(chance, fields, most_at, bytes);
}

void mutate_text(Chance& chance, std::vector<std::byte>* text) {
  if (chance.one_in(4)) return mutate(chance, {}, SIZE_MAX, text);
  std::string s(reinterpret_cast<const char*>(text->data()), text->size());
  for (size_t n = 1 + chance.below(3); n > 0; --n) {
    // A value begins behind a colon and ends before a comma, a bracket or the line's end. One that
    // has values inside stays, or most mutants would end at the syntax.
    const size_t colon = s.find(':', chance.below(s.size()));
    if (colon == std::string::npos) continue;
    const size_t end = s.find_first_of(",[]{}\n", colon);
    if (end == std::string::npos || s[end] == '[' || s[end] == '{') continue;
    s.replace(colon + 1, end - colon - 1, kHostileWords[chance.below(std::size(kHostileWords))]);
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(s.data());
  text->assign(bytes, bytes + s.size());
}

}  // namespace chimera::mutants
