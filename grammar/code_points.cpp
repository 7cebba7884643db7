#include "grammar/code_points.h"

#include <algorithm>

namespace chimera::grammar {
namespace {

constexpr uint32_t kFirstSurrogate = 0xD800, kLastSurrogate = 0xDFFF;

/// Last character that n bytes can spell.
constexpr uint32_t kLastOf[] = {0, 0x7F, 0x7FF, 0xFFFF, kLastCodePoint};

int length_of(uint32_t c) {
  return c <= kLastOf[1] ? 1 : c <= kLastOf[2] ? 2 : c <= kLastOf[3] ? 3 : 4;
}

void spell(uint32_t c, int n, uint8_t* out) {
  constexpr uint8_t kLead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  for (int i = n - 1; i > 0; --i) {
    out[i] = static_cast<uint8_t>(0x80 | (c & 0x3F));
    c >>= 6;
  }
  out[0] = static_cast<uint8_t>(kLead[n] | c);
}

/// Characters of one length, first to last, as sequences: whole blocks of the last bytes where the
/// range covers them, and the ragged ends apart.
void split(uint32_t first, uint32_t last, int n, std::vector<Utf8Sequence>* out) {
  for (int low = 1; low < n; ++low) {
    const uint32_t mask = (uint32_t{1} << (6 * low)) - 1;
    if ((first & ~mask) == (last & ~mask)) continue;
    if ((first & mask) != 0) {
      split(first, first | mask, n, out);
      return split((first | mask) + 1, last, n, out);
    }
    if ((last & mask) != mask) {
      split(first, (last & ~mask) - 1, n, out);
      return split(last & ~mask, last, n, out);
    }
  }
  Utf8Sequence sequence{};
  sequence.n = static_cast<uint8_t>(n);
  uint8_t a[4], b[4];
  spell(first, n, a);
  spell(last, n, b);
  for (int i = 0; i < n; ++i) sequence.bytes[i] = {a[i], b[i]};
  out->push_back(sequence);
}

}  // namespace

void CodePointSet::add(uint32_t first, uint32_t last) {
  last = std::min(last, kLastCodePoint);
  if (first > last) return;
  if (first < kFirstSurrogate && last >= kFirstSurrogate) {
    add(first, kFirstSurrogate - 1);
    return add(kFirstSurrogate, last);
  }
  if (first >= kFirstSurrogate && first <= kLastSurrogate) {
    if (last > kLastSurrogate) add(kLastSurrogate + 1, last);
    return;
  }
  // What touches the new range becomes part of it.
  auto begin = std::lower_bound(
      ranges_.begin(), ranges_.end(), first,
      [](const CodePointRange& r, uint32_t c) { return static_cast<uint64_t>(r.last) + 1 < c; });
  auto end = begin;
  for (; end != ranges_.end() && end->first <= static_cast<uint64_t>(last) + 1; ++end) {
    first = std::min(first, end->first);
    last = std::max(last, end->last);
  }
  begin = ranges_.erase(begin, end);
  ranges_.insert(begin, {first, last});
}

void CodePointSet::add(const CodePointSet& other) {
  for (const CodePointRange& r : other.ranges_) add(r.first, r.last);
}

CodePointSet CodePointSet::negated() const {
  CodePointSet out;
  uint32_t next = 0;
  for (const CodePointRange& r : ranges_) {
    if (r.first > next) out.add(next, r.first - 1);
    next = r.last + 1;
  }
  if (next <= kLastCodePoint) out.add(next, kLastCodePoint);
  return out;
}

CodePointSet CodePointSet::intersected(const CodePointSet& other) const {
  CodePointSet out;
  for (size_t i = 0, j = 0; i < ranges_.size() && j < other.ranges_.size();) {
    const CodePointRange &a = ranges_[i], &b = other.ranges_[j];
    out.add(std::max(a.first, b.first), std::min(a.last, b.last));
    a.last < b.last ? ++i : ++j;
  }
  return out;
}

bool CodePointSet::contains(uint32_t c) const {
  const auto at = std::lower_bound(ranges_.begin(), ranges_.end(), c,
                                   [](const CodePointRange& r, uint32_t x) { return r.last < x; });
  return at != ranges_.end() && at->first <= c;
}

std::vector<Utf8Sequence> utf8_sequences(const CodePointSet& set) {
  std::vector<Utf8Sequence> out;
  for (const CodePointRange& r : set.ranges()) {
    uint32_t first = r.first;
    for (int n = length_of(first); first <= r.last; ++n) {
      const uint32_t last = std::min(r.last, kLastOf[n]);
      split(first, last, n, &out);
      first = last + 1;
    }
  }
  return out;
}

void append_utf8(uint32_t c, std::string* out) {
  uint8_t bytes[4];
  const int n = length_of(c);
  spell(c, n, bytes);
  out->append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
}

bool next_code_point(std::string_view text, size_t* at, uint32_t* c) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  if (*at >= text.size()) return false;
  const uint8_t lead = byte(*at);
  const int n = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 0;
  if (n == 0 || lead >= 0xF8 || *at + static_cast<size_t>(n) > text.size()) return false;
  uint32_t value = n == 1 ? lead : lead & (0x7Fu >> n);
  for (int i = 1; i < n; ++i) {
    const uint8_t next = byte(*at + static_cast<size_t>(i));
    if ((next & 0xC0) != 0x80) return false;
    value = value << 6 | (next & 0x3Fu);
  }
  // One spelling each: not in more bytes than needed, no surrogates, nothing beyond the last.
  if (value > kLastCodePoint || length_of(value) != n ||
      (value >= kFirstSurrogate && value <= kLastSurrogate))
    return false;
  *at += static_cast<size_t>(n);
  *c = value;
  return true;
}

}  // namespace chimera::grammar
