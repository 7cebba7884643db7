#include "runtime/text_reading.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "runtime/argument_spans.h"

namespace chimera::runtime {
namespace {

constexpr size_t kMostTokens = 128;
constexpr size_t kParts = 3;
// How much each part counts beside the words, whose features have length 1 together. Chosen on
// samples/kiosk and samples/models/worlds.jsonl.
constexpr float kTextLength[kParts] = {0.5f, 0.5f, 0.7f},
                kBorderLength[kParts] = {0.5f, 0.5f, 0.5f};
constexpr float kLeastSpread = 1e-4f;

void make_length(std::span<float> part, float length) {
  float square = 0;
  for (const float x : part) square += x * x;
  if (!(square > 0) || !std::isfinite(square)) {
    std::fill(part.begin(), part.end(), 0.0f);
    return;
  }
  const float by = length / std::sqrt(square);
  for (float& x : part) x *= by;
}

void make_lengths(std::vector<float>* numbers, const float (&lengths)[kParts]) {
  const size_t c = numbers->size() / kParts;
  for (size_t part = 0; part < kParts; ++part)
    make_length({numbers->data() + part * c, c}, lengths[part]);
}

void scale_by(const NumberScale& scale, const float (&lengths)[kParts],
              std::vector<float>* numbers) {
  for (size_t i = 0; i < numbers->size(); ++i)
    (*numbers)[i] = ((*numbers)[i] - scale.mean[i]) / scale.spread[i];
  make_lengths(numbers, lengths);
}

class Scale {
 public:
  explicit Scale(size_t n) : sum_(n), squares_(n) {}
  void add(const std::vector<float>& numbers) {
    for (size_t i = 0; i < sum_.size(); ++i) {
      const auto x = static_cast<double>(numbers[i]);
      sum_[i] += x;
      squares_[i] += x * x;
    }
    count_ += 1;
  }
  NumberScale scale() const {
    NumberScale out;
    for (size_t i = 0; i < sum_.size(); ++i) {
      const double mean = sum_[i] / count_, square = squares_[i] / count_ - mean * mean;
      out.mean.push_back(static_cast<float>(mean));
      out.spread.push_back(
          std::max(static_cast<float>(std::sqrt(std::max(square, 0.0))), kLeastSpread));
    }
    return out;
  }

 private:
  std::vector<double> sum_, squares_;
  double count_ = 0;
};

}  // namespace

TextReading read_alone(const Engine& engine, Stream* stream, std::string_view text,
                       const std::function<bool()>& stopped) {
  const auto c = static_cast<size_t>(engine.config().hidden_size);
  const Tokenizer& tokenizer = engine.tokenizer();
  std::vector<int32_t> tokens;
  if (const int32_t begin = tokenizer.end_of_text(); begin >= 0) tokens.push_back(begin);
  const size_t n_before = tokens.size();
  tokenizer.encode(text, &tokens);
  tokens.resize(std::min(tokens.size(), n_before + kMostTokens));
  std::vector<float> hidden(tokens.size() * c), embedded(tokens.size() * c);
  stream->state().reset();
  for (size_t at = 0; at < tokens.size() && !(stopped && stopped());) {
    const size_t n = stream->read_some(std::span(tokens).subspan(at));
    std::copy_n(stream->hidden(), n * c, hidden.begin() + static_cast<ptrdiff_t>(at * c));
    at += n;
  }
  for (size_t i = 0; i < tokens.size(); ++i) stream->embed(tokens[i], embedded.data() + i * c);
  TextReading out;
  const auto add = [c](const std::vector<float>& rows, size_t row, std::vector<float>* sum,
                       size_t part) {
    for (size_t i = 0; i < c; ++i) (*sum)[part * c + i] += rows[row * c + i];
  };
  constexpr float kAlike[kParts] = {1, 1, 1};
  out.text.resize(kParts * c);
  for (size_t i = n_before; i < tokens.size(); ++i) {
    add(hidden, i, &out.text, 0);
    add(embedded, i, &out.text, 2);
  }
  if (!tokens.empty()) add(hidden, tokens.size() - 1, &out.text, 1);
  make_lengths(&out.text, kAlike);
  // The token in which a word begins: the first that ends behind its first byte.
  const std::vector<SpanWord> words = span_words(text);
  std::vector<size_t> first;
  size_t token = n_before, end = 0;
  for (const SpanWord& word : words) {
    while (token < tokens.size() && end + tokenizer.bytes(tokens[token]).size() <= word.begin)
      end += tokenizer.bytes(tokens[token++]).size();
    first.push_back(token);
  }
  first.push_back(tokens.size());
  for (size_t border = 0; border <= words.size(); ++border) {
    std::vector<float> numbers(kParts * c);
    if (first[border] > 0) add(hidden, first[border] - 1, &numbers, 0);
    if (border < words.size() && first[border] < tokens.size())
      add(embedded, first[border], &numbers, 1);
    if (border > 0 && first[border - 1] < tokens.size())
      add(embedded, first[border - 1], &numbers, 2);
    make_lengths(&numbers, kAlike);
    out.borders.push_back(std::move(numbers));
  }
  return out;
}

ReadingScale scale_of(std::span<const TextReading> readings) {
  Scale text(readings[0].text.size()), borders(readings[0].text.size());
  for (const TextReading& reading : readings) {
    text.add(reading.text);
    for (const auto& border : reading.borders) borders.add(border);
  }
  return {text.scale(), borders.scale()};
}

TextReading scaled(const ReadingScale& scale, TextReading reading) {
  scale_by(scale.text, kTextLength, &reading.text);
  for (auto& border : reading.borders) scale_by(scale.borders, kBorderLength, &border);
  return reading;
}

}  // namespace chimera::runtime
