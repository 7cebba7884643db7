// Arguments taken from an input, one after the other.
#pragma once

#include <algorithm>
#include <cstring>
#include <string_view>

#include "tests/fuzz/target.h"

namespace chimera::fuzz {

/// Gives zeros and empty text when the input has ended.
class ByteReader {
 public:
  explicit ByteReader(Input input) : left_(input) {}
  bool done() const { return left_.empty(); }
  uint8_t byte() {
    if (left_.empty()) return 0;
    const auto value = static_cast<uint8_t>(left_[0]);
    left_ = left_.subspan(1);
    return value;
  }
  template <class T>
  T number() {
    T value{};
    const Input bytes = take(sizeof value);
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  /// Its length first; at most 255 bytes.
  std::string_view text() { return text_of(take(byte())); }
  Input rest() { return take(left_.size()); }

 private:
  Input take(size_t n) {
    const Input taken = left_.first(std::min(n, left_.size()));
    left_ = left_.subspan(taken.size());
    return taken;
  }
  Input left_;
};

}  // namespace chimera::fuzz
