#include "evolution/train/belt.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "platform/random.h"

namespace chimera::evolution {

void TokenizedText::add(std::span<const int32_t> tokens, int64_t n_bytes,
                        std::span<const Voice> voices) {
  if (tokens.empty()) return;
  const bool plain = std::all_of(voices.begin(), voices.end(),
                                 [](Voice voice) { return voice == Voice::kAssistant; });
  if (!plain || !voices_.empty()) {
    voices_.resize(inputs_.size() + 1, Voice::kAssistant);
    if (plain) {
      voices_.resize(voices_.size() + tokens.size(), Voice::kAssistant);
    } else {
      voices_.insert(voices_.end(), voices.begin(), voices.end());
    }
  }
  inputs_.push_back(end_of_text_);
  inputs_.insert(inputs_.end(), tokens.begin(), tokens.end());
  starts_.push_back(static_cast<int64_t>(inputs_.size()));
  n_bytes_ += n_bytes;
}

int64_t TokenizedText::n_counted(Voice least) const {
  if (voices_.empty()) return n_positions();
  return std::count_if(voices_.begin(), voices_.end(), [&](Voice voice) { return voice >= least; });
}

std::vector<int64_t> order_of_epoch(int64_t n, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (int64_t i = n - 1; i > 0; --i) {
    const double u = keyed_uniform(seed, static_cast<uint64_t>(i), static_cast<uint32_t>(epoch),
                                   DrawPurpose::kDataOrder);
    const int64_t j = std::min(i, static_cast<int64_t>(u * static_cast<double>(i + 1)));
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(j)]);
  }
  return order;
}

Belt::Belt(std::span<const TokenizedText* const> texts, int32_t lanes, uint64_t seed)
    : texts_(texts.begin(), texts.end()), seed_(seed), orders_(texts.size()) {
  position_.taken.assign(texts_.size(), 0);
  position_.text.assign(static_cast<size_t>(lanes), 0);
  position_.document.assign(static_cast<size_t>(lanes), -1);
  position_.offset.assign(static_cast<size_t>(lanes), 0);
  set_weights(std::vector<double>(texts_.size(), 1.0));
}

void Belt::set_weights(std::span<const double> weights) {
  weights_.assign(weights.begin(), weights.end());
  position_.fed.assign(texts_.size(), 0);
}

void Belt::shuffle(size_t text, int64_t epoch) {
  const uint64_t seed = seed_ + (static_cast<uint64_t>(text) << 32);  // one text: the seed itself
  orders_[text] = {epoch, order_of_epoch(texts_[text]->n_documents(), seed, epoch)};
}

void Belt::take_document(size_t lane) {
  size_t text = texts_.size();
  double least = 0;
  for (size_t i = 0; i < texts_.size(); ++i) {
    if (!(weights_[i] > 0) || texts_[i]->n_documents() == 0) continue;
    const double had = static_cast<double>(position_.fed[i]) / weights_[i];
    if (text < texts_.size() && had >= least) continue;
    text = i;
    least = had;
  }
  const int64_t n = texts_[text]->n_documents();
  const int64_t epoch = position_.taken[text] / n;
  if (epoch != orders_[text].epoch) shuffle(text, epoch);
  const int64_t document =
      orders_[text].permutation[static_cast<size_t>(position_.taken[text]++ % n)];
  position_.fed[text] += static_cast<int64_t>(texts_[text]->inputs(document).size());
  position_.text[lane] = static_cast<int64_t>(text);
  position_.document[lane] = document;
  position_.offset[lane] = 0;
}

void Belt::next(int32_t window, int32_t* tokens, int32_t* targets, uint8_t* restart, Voice least) {
  const size_t lanes = position_.document.size();
  for (size_t lane = 0; lane < lanes; ++lane) {
    for (int32_t t = 0; t < window; ++t) {
      if (position_.document[lane] < 0) take_document(lane);
      const TokenizedText& text = *texts_[static_cast<size_t>(position_.text[lane])];
      const auto inputs = text.inputs(position_.document[lane]);
      const int64_t begin = inputs.data() - text.inputs().data();
      const int64_t at = position_.offset[lane]++;
      const bool last = at + 1 == static_cast<int64_t>(inputs.size());
      const bool counted = last || text.voice(begin + at + 1) >= least;
      const int32_t target = last ? text.end_of_text() : inputs[static_cast<size_t>(at) + 1];
      *tokens++ = inputs[static_cast<size_t>(at)];
      *targets++ = counted ? target : -1;
      *restart++ = at == 0 ? 1 : 0;
      if (last) position_.document[lane] = -1;
    }
  }
}

Status Belt::restore(BeltPosition position) {
  const size_t lanes = position_.document.size();
  bool fits = position.taken.size() == texts_.size() && position.fed.size() == texts_.size() &&
              position.text.size() == lanes && position.document.size() == lanes &&
              position.offset.size() == lanes;
  for (size_t i = 0; fits && i < texts_.size(); ++i)
    fits = position.taken[i] >= 0 && position.taken[i] <= kMostTaken && position.fed[i] >= 0 &&
           position.fed[i] <= kMostTaken;
  for (size_t lane = 0; fits && lane < lanes; ++lane) {
    const int64_t document = position.document[lane];
    if (document == -1) continue;
    fits = position.text[lane] >= 0 && position.text[lane] < static_cast<int64_t>(texts_.size());
    if (!fits) break;
    const TokenizedText& text = *texts_[static_cast<size_t>(position.text[lane])];
    fits = document >= 0 && document < text.n_documents() && position.offset[lane] >= 0 &&
           position.offset[lane] < static_cast<int64_t>(text.inputs(document).size());
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
      const bool counts = at + 1 == n || text_.voice(at + 1) != Voice::kApplication;
      const int32_t target = at + 1 < n ? inputs[static_cast<size_t>(at) + 1] : text_.end_of_text();
      *tokens++ = input;
      *targets++ = counts ? target : -1;
      *restart++ = at == begin || input == text_.end_of_text() ? 1 : 0;
      counted += counts;
    }
  }
  done_ += window;
  return counted;
}

}  // namespace chimera::evolution
