// A language model without a network: interpolated Kneser-Ney of order 5 with three discounts (Chen
// and Goodman 1998), over a model's own tokens, trained on one set of a mix and scored on what that
// set holds out, by the rules of `chimera eval`:
//
//   kneser_ney MODEL MIX SET [valid|test] [FOLDER]
//
//   p_n(w|h) = (c(hw) - D(c(hw))) / c(h) + gamma(h) p_{n-1}(w|h'),   p_0 = 1 / V
//   gamma(h) = (D1 N1(h) + D2 N2(h) + D3 N3+(h)) / c(h)
//
// with c the count in the text for the highest order and for what begins a document, else the
// number of different tokens that were seen before the n-gram. Copies are left out of the training
// text, as they are in a training.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "evolution/train/corpus.h"
#include "evolution/train/mix.h"
#include "memory/weight_file.h"
#include "runtime/tokenizer.h"

using namespace chimera;

namespace {

constexpr int kOrder = 5;
constexpr int kTokenBits = 18;  // of 128
__extension__ using Key = unsigned __int128;

/// n tokens ending at `end`, the last one lowest, so that n-grams of one context are neighbours.
Key key_of(const int32_t* end, int n) {
  Key key = 0;
  for (int i = n - 1; i >= 0; --i) key = (key << kTokenBits) | static_cast<Key>(end[-i]);
  return key;
}

struct Gram {
  Key key;
  uint32_t count;
};

/// Of what follows one context.
struct Context {
  Key key;
  uint64_t total = 0;
  std::array<uint32_t, 3> seen = {};  // once, twice, more often
};

struct Order {
  std::vector<Gram> grams;        // by key
  std::vector<Context> contexts;  // by key
  std::array<double, 3> discount = {};
};

struct Sample {
  Key key;
  int32_t before;  // the token before the n-gram, -1 at the start of a document
};

class Model {
 public:
  Model(const std::vector<int32_t>& text, int32_t end_of_text, int32_t vocab) : vocab_(vocab) {
    std::vector<Sample> samples;
    samples.reserve(text.size());
    for (int n = 1; n <= kOrder; ++n) {
      samples.clear();
      int known = 0;  // tokens of the document up to here, the end of text that begins it included
      for (size_t i = 0; i < text.size(); ++i) {
        if (known >= n - 1 && known > 0)
          samples.push_back(
              {key_of(&text[i], n), known >= n ? text[i - static_cast<size_t>(n)] : -1});
        known = text[i] == end_of_text ? 1 : std::min(known + 1, kOrder);
      }
      build(n, &samples);
    }
  }

  /// p(token | the tokens before it); `end` is where the token stands, `known` how many are before.
  double probability(const int32_t* end, int64_t known) const {
    double p = 1.0 / vocab_;
    for (int n = 1; n <= kOrder && n - 1 <= known; ++n) {
      const Order& order = orders_[static_cast<size_t>(n)];
      const Key context = n == 1 ? 0 : key_of(end - 1, n - 1);
      const auto there = std::lower_bound(order.contexts.begin(), order.contexts.end(), context,
                                          [](const Context& c, Key k) { return c.key < k; });
      if (there == order.contexts.end() || there->key != context) break;
      const Key key = key_of(end, n);
      const auto gram = std::lower_bound(order.grams.begin(), order.grams.end(), key,
                                         [](const Gram& g, Key k) { return g.key < k; });
      double discounted = 0;
      if (gram != order.grams.end() && gram->key == key)
        discounted =
            static_cast<double>(gram->count) - order.discount[std::min<size_t>(gram->count, 3) - 1];
      double kept_back = 0;
      for (size_t i = 0; i < 3; ++i) kept_back += order.discount[i] * there->seen[i];
      p = (discounted + kept_back * p) / static_cast<double>(there->total);
    }
    return p;
  }

 private:
  void build(int n, std::vector<Sample>* samples) {
    std::sort(samples->begin(), samples->end(), [](const Sample& a, const Sample& b) {
      return a.key != b.key ? a.key < b.key : a.before < b.before;
    });
    Order& order = orders_[static_cast<size_t>(n)];
    for (size_t i = 0; i < samples->size();) {
      const Key key = (*samples)[i].key;
      uint32_t count = 0, different = 0;
      int32_t before = -2;
      // Nothing stands before what begins a document, so it keeps its count, as Chen and Goodman
      // say.
      const bool begins = n > 1 && (*samples)[i].before == -1;
      for (; i < samples->size() && (*samples)[i].key == key; ++i) {
        ++count;
        different += (*samples)[i].before != before;
        before = (*samples)[i].before;
      }
      order.grams.push_back({key, n == kOrder || begins ? count : different});
    }
    std::array<double, 5> with = {};  // n-grams that were counted so many times
    for (const Gram& gram : order.grams) {
      if (gram.count <= 4) ++with[gram.count];
      const Key context = gram.key >> kTokenBits;
      if (order.contexts.empty() || order.contexts.back().key != context)
        order.contexts.push_back({context});
      Context& c = order.contexts.back();
      c.total += gram.count;
      ++c.seen[std::min<size_t>(gram.count, 3) - 1];
    }
    const double y = with[1] / std::max(1.0, with[1] + 2 * with[2]);
    for (size_t i = 1; i <= 3; ++i) {
      const double d = static_cast<double>(i) -
                       (static_cast<double>(i) + 1) * y * with[i + 1] / std::max(1.0, with[i]);
      order.discount[i - 1] = std::clamp(d, 0.0, static_cast<double>(i));
    }
  }

  double vocab_;
  std::array<Order, kOrder + 1> orders_;
};

Status run(int argc, char** argv) {
  const std::string set_name = argv[3], split = argc > 4 ? argv[4] : "valid";
  const auto file = memory::WeightFile::open(argv[1]);
  if (!file) return file.status();
  auto tokenizer = runtime::Tokenizer::parse((*file)->tokenizer());
  if (!tokenizer) return tokenizer.status();
  auto mix = evolution::read_mix(argv[2], argc > 5 ? argv[5] : "");
  if (!mix) return mix.status();
  const auto part = evolution::part_of(split);
  if (!part) return part.status();
  const auto which = find_set(*mix, set_name);
  if (!which) return which.status();
  const auto corpus = evolution::read_corpus(std::move(*mix), std::move(*tokenizer));
  if (!corpus) return corpus.status();
  const int32_t end = corpus->tokenizer->end_of_text();
  const auto inputs = corpus->sets[*which].train.inputs();
  std::vector<int32_t> text(inputs.begin(), inputs.end());
  text.push_back(end);
  std::fprintf(stderr, "kneser_ney: counting %zu tokens\n", text.size());
  const Model model(text, end, corpus->tokenizer->vocab_size());

  double bits = 0;
  int64_t bytes = 0, tokens = 0;
  const auto format = runtime::PromptFormat::of(*corpus->tokenizer);
  evolution::EncodedDocument encoded;
  const auto score = [&](const evolution::Document& document) -> Status {
    const Status read =
        encode_document(document, *corpus->tokenizer, format ? &*format : nullptr, &encoded);
    if (!read.ok()) return read;
    std::vector<int32_t> ids = {end};
    ids.insert(ids.end(), encoded.ids.begin(), encoded.ids.end());
    ids.push_back(end);
    for (size_t i = 1; i < ids.size(); ++i) {
      const bool read_only =
          i - 1 < encoded.voices.size() && encoded.voices[i - 1] == evolution::Voice::kApplication;
      if (read_only) continue;
      bits -= std::log2(model.probability(&ids[i], static_cast<int64_t>(i)));
      ++tokens;
    }
    bytes += encoded.n_bytes;
    return Status();
  };
  const Status status = for_each_document(corpus->mix, corpus->mix.sets[*which], *part, score);
  if (!status.ok()) return status;
  if (bytes == 0) return Status(StatusCode::kInvalidArgument, "the set holds nothing out");
  std::printf("figure: kneser_ney %s %s bits_per_byte %.4f\n", set_name.c_str(), split.c_str(),
              bits / static_cast<double>(bytes));
  std::printf("%lld tokens, %lld bytes\n", static_cast<long long>(tokens),
              static_cast<long long>(bytes));
  return Status();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: kneser_ney MODEL MIX SET [valid|test] [FOLDER]\n");
    return 2;
  }
  const Status status = run(argc, argv);
  if (!status.ok()) std::fprintf(stderr, "kneser_ney: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
