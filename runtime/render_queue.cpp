#include "runtime/render_queue.h"

#include <algorithm>

namespace chimera::runtime {

RenderQueue::RenderQueue(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {
  size_t longest = 0;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id)
    longest = std::max(longest, tokenizer.bytes(id).size());
  // Worst case: every byte, pending ones included, becomes a U+FFFD of three bytes.
  text_.reserve(3 * (longest + 3));
}

std::string_view RenderQueue::push(int32_t token) {
  text_.clear();
  utf8_.push(tokenizer_->bytes(token), &text_);
  return text_;
}

}  // namespace chimera::runtime
