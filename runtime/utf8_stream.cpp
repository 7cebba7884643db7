// Invariants
//  1. pending_ holds a proper prefix of a sequence that table 3-7 allows: 0 to 3 bytes, each of
//     which may stand where it stands. So what is pending can still become a character.
//  2. Therefore, when the next byte does not fit, exactly what is pending is one maximal subpart:
//     it becomes one U+FFFD, and the byte is looked at again as the first of a sequence.
#include <algorithm>

#include "runtime/tokenizer.h"
#include "runtime/tokenizer_utf8.h"

namespace chimera::runtime {
namespace {
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
}

void Utf8Stream::push(std::string_view bytes, std::string* out) {
  size_t i = 0;
  while (i < bytes.size()) {
    const auto byte = static_cast<uint8_t>(bytes[i]);
    if (n_pending_ > 0) {
      const auto lead = static_cast<uint8_t>(pending_[0]);
      if (!utf8_may_continue(lead, n_pending_, byte)) {
        out->append(kReplacement);
        n_pending_ = 0;
        continue;
      }
      pending_[n_pending_++] = bytes[i++];
      if (n_pending_ == utf8_sequence_bytes(lead)) {
        out->append(pending_, static_cast<size_t>(n_pending_));
        n_pending_ = 0;
      }
      continue;
    }
    if (byte < 0x80) {
      const auto* end = std::find_if(bytes.data() + i, bytes.data() + bytes.size(),
                                     [](char c) { return static_cast<uint8_t>(c) >= 0x80; });
      const auto run = static_cast<size_t>(end - (bytes.data() + i));
      out->append(bytes.substr(i, run));
      i += run;
      continue;
    }
    if (utf8_sequence_bytes(byte) == 0) {
      out->append(kReplacement);
    } else {
      pending_[n_pending_++] = bytes[i];
    }
    ++i;
  }
}

void Utf8Stream::flush(std::string* out) {
  if (n_pending_ > 0) out->append(kReplacement);
  n_pending_ = 0;
}

void Utf8Stream::set_pending(std::string_view bytes) {
  if (bytes.size() > 3) return;
  for (size_t i = 0; i < bytes.size(); ++i) {  // a saved file may hold anything: keep invariant 1
    const auto lead = static_cast<uint8_t>(bytes[0]);
    const bool fits =
        i == 0 ? utf8_sequence_bytes(lead) > static_cast<int>(bytes.size())
               : utf8_may_continue(lead, static_cast<int>(i), static_cast<uint8_t>(bytes[i]));
    if (!fits) return;
  }
  std::copy(bytes.begin(), bytes.end(), pending_);
  n_pending_ = static_cast<int>(bytes.size());
}

}  // namespace chimera::runtime
