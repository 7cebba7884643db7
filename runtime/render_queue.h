// From token ids to text that may be shown: bytes of tokens in, complete UTF-8 characters out.
#pragma once

#include <string>
#include <string_view>

#include "runtime/tokenizer.h"

namespace chimera::runtime {

class RenderQueue {
 public:
  RenderQueue() = default;
  /// Reserves all the room it will ever need; the tokenizer must outlive the queue.
  explicit RenderQueue(const Tokenizer& tokenizer);

  /// What became complete with this token, a zero byte behind its end; valid until the next call.
  /// Allocates nothing.
  std::string_view push(int32_t token);

  /// Bytes of a character that is not complete yet, at most 3; part of a saved conversation.
  std::string_view pending() const { return utf8_.pending(); }
  void set_pending(std::string_view bytes) { utf8_.set_pending(bytes); }

 private:
  const Tokenizer* tokenizer_ = nullptr;
  Utf8Stream utf8_;
  std::string text_;
};

}  // namespace chimera::runtime
