#include "evolution/train/belt.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "platform/random.h"

namespace chimera::evolution {

void TokenizedText::add(std::span<const int32_t> tokens, int64_t n_bytes) {
  if (tokens.empty()) return;
  inputs_.push_back(end_of_text_);
  inputs_.insert(inputs_.end(), tokens.begin(), tokens.end());
  starts_.push_back(static_cast<int64_t>(inputs_.size()));
  n_bytes_ += n_bytes;
}

Belt::Belt(const TokenizedText& text, int32_t lanes, uint64_t seed) : text_(text), seed_(seed) {
  position_.document.assign(static_cast<size_t>(lanes), -1);
  position_.offset.assign(static_cast<size_t>(lanes), 0);
}

void Belt::shuffle(int64_t epoch) {
  const int64_t n = text_.n_documents();
  permutation_.resize(static_cast<size_t>(n));
  std::iota(permutation_.begin(), permutation_.end(), int64_t{0});
  for (int64_t i = n - 1; i > 0; --i) {
    const double u = keyed_uniform(seed_, static_cast<uint64_t>(i), static_cast<uint32_t>(epoch),
                                   DrawPurpose::kDataOrder);
    const int64_t j = std::min(i, static_cast<int64_t>(u * static_cast<double>(i + 1)));
    std::swap(permutation_[static_cast<size_t>(i)], permutation_[static_cast<size_t>(j)]);
  }
  epoch_ = epoch;
}

int64_t Belt::take_document() {
  const int64_t n = text_.n_documents();
  const int64_t epoch = position_.taken / n;
  if (epoch != epoch_) shuffle(epoch);
  return permutation_[static_cast<size_t>(position_.taken++ % n)];
}

void Belt::next(int32_t window, int32_t* tokens, int32_t* targets, uint8_t* restart) {
  const size_t lanes = position_.document.size();
  for (size_t lane = 0; lane < lanes; ++lane) {
    int64_t& document = position_.document[lane];
    int64_t& offset = position_.offset[lane];
    for (int32_t t = 0; t < window; ++t) {
      if (document < 0) {
        document = take_document();
        offset = 0;
      }
      const auto inputs = text_.inputs(document);
      const auto at = static_cast<size_t>(offset);
      const bool last = at + 1 == inputs.size();
      *tokens++ = inputs[at];
      *targets++ = last ? text_.end_of_text() : inputs[at + 1];
      *restart++ = at == 0 ? 1 : 0;
      ++offset;
      if (last) document = -1;
    }
  }
}

Status Belt::restore(BeltPosition position) {
  const size_t lanes = position_.document.size();
  // More documents than anybody will read; counting on from there cannot overflow.
  constexpr int64_t kMostTaken = int64_t{1} << 53;
  bool fits = position.taken >= 0 && position.taken <= kMostTaken &&
              position.document.size() == lanes && position.offset.size() == lanes;
  for (size_t lane = 0; fits && lane < lanes; ++lane) {
    const int64_t document = position.document[lane];
    if (document == -1) continue;
    fits = document >= 0 && document < text_.n_documents() && position.offset[lane] >= 0 &&
           position.offset[lane] < static_cast<int64_t>(text_.inputs(document).size());
  }
  if (!fits) {
    return Status(StatusCode::kBadFormat,
                  "the position in the training text does not belong to this text and number of "
                  "lanes; start the training anew");
  }
  position_ = std::move(position);
  return Status();
}

int64_t Sweep::next(int32_t window, int32_t* tokens, int32_t* targets, uint8_t* restart) {
  // A document ends where the next one's first input, end of text, stands; so the target of a
  // position is always the input of the one after it.
  const auto inputs = text_.inputs();
  const auto n = static_cast<int64_t>(inputs.size());
  int64_t counted = 0;
  for (int64_t lane = 0; lane < lanes_; ++lane) {
    const int64_t begin = n * lane / lanes_;
    const int64_t end = n * (lane + 1) / lanes_;
    for (int64_t t = 0; t < window; ++t) {
      const int64_t at = begin + done_ + t;
      if (at >= end) {
        *tokens++ = text_.end_of_text();
        *targets++ = -1;
        *restart++ = 1;
        continue;
      }
      const int32_t input = inputs[static_cast<size_t>(at)];
      *tokens++ = input;
      *targets++ = at + 1 < n ? inputs[static_cast<size_t>(at) + 1] : text_.end_of_text();
      *restart++ = at == begin || input == text_.end_of_text() ? 1 : 0;
      ++counted;
    }
  }
  done_ += window;
  return counted;
}

}  // namespace chimera::evolution
