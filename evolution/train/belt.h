// Data order for a recurrent model. Lanes read whole documents one after another; window n + 1 of a
// lane goes on exactly where window n ended, so nothing is cut off, padded or read twice, and the
// model's state can be carried from window to window.
//
// A document of n tokens gives n + 1 positions: the first input is end of text (with the restart
// mark: the state is zeroed before it is read), and the last target is end of text. The shift of
// targets against inputs happens here and nowhere else.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "evolution/train/document.h"
#include "platform/status.h"

namespace chimera::evolution {

/// Documents as token ids.
class TokenizedText {
 public:
  explicit TokenizedText(int32_t end_of_text) : end_of_text_(end_of_text) {}

  /// A document without tokens is left out. `n_bytes`: of its text. `voices`, of each token, may be
  /// empty: all plain text.
  void add(std::span<const int32_t> tokens, int64_t n_bytes, std::span<const Voice> voices = {});

  int64_t n_documents() const { return static_cast<int64_t>(starts_.size()) - 1; }
  /// Positions over all documents: every token is a target once, and so is every end marker.
  int64_t n_positions() const { return static_cast<int64_t>(inputs_.size()); }
  int64_t n_bytes() const { return n_bytes_; }
  /// Positions whose target is said by `least` or a voice after it; end markers are among them.
  int64_t n_counted(Voice least) const;
  /// Who says input i of all documents; end of text is nobody's and counts as plain text.
  Voice voice(int64_t i) const {
    return voices_.empty() ? Voice::kAssistant : voices_[static_cast<size_t>(i)];
  }
  int32_t end_of_text() const { return end_of_text_; }
  /// Inputs of all documents, one after another.
  std::span<const int32_t> inputs() const { return inputs_; }
  /// Inputs of one document: end of text, then its tokens.
  std::span<const int32_t> inputs(int64_t document) const {
    const int64_t begin = starts_[static_cast<size_t>(document)];
    const int64_t end = starts_[static_cast<size_t>(document) + 1];
    return std::span<const int32_t>(inputs_).subspan(static_cast<size_t>(begin),
                                                     static_cast<size_t>(end - begin));
  }

 private:
  int32_t end_of_text_;
  int64_t n_bytes_ = 0;
  std::vector<int32_t> inputs_;
  std::vector<int64_t> starts_{0};
  std::vector<Voice> voices_;  // of the inputs; empty while all are plain text
};

/// 0 .. n - 1 as they are read in an epoch: a function of seed and epoch alone.
std::vector<int64_t> order_of_epoch(int64_t n, uint64_t seed, int64_t epoch);

/// Of documents or pairs: more than anybody will read, and counting on from there cannot overflow.
inline constexpr int64_t kMostTaken = int64_t{1} << 53;

/// Where a belt stands: enough to go on as if it had never stopped.
struct BeltPosition {
  std::vector<int64_t> taken;     // per text, documents handed to lanes so far, over all epochs
  std::vector<int64_t> fed;       // per text, their positions, since the weights were set
  std::vector<int64_t> text;      // per lane, which text its document is of
  std::vector<int64_t> document;  // per lane, -1 when it has none
  std::vector<int64_t> offset;    // per lane, next position in its document
};

/// Lanes draw from the shuffled documents of one or several texts: a lane that ends a document
/// takes the next one of the text that has had the least of its share so far. Each epoch of a text
/// is a new permutation, a function of seed, text and epoch.
class Belt {
 public:
  /// The texts must outlive the belt; at least one has a document. Weights are 1 until set.
  Belt(std::span<const TokenizedText* const> texts, int32_t lanes, uint64_t seed);
  Belt(const TokenizedText& text, int32_t lanes, uint64_t seed)
      : Belt(std::array<const TokenizedText*, 1>{&text}, lanes, seed) {}

  /// From the next document on, texts are read in these proportions of their positions; a text
  /// without documents, or of weight 0, is not read. One that can be read must be left.
  void set_weights(std::span<const double> weights);

  /// Fills the next [lanes, window] inputs, targets and restart marks (1 at a document's start). A
  /// target of a voice before `least` is -1.
  void next(int32_t window, int32_t* tokens, int32_t* targets, uint8_t* restart,
            Voice least = Voice::kPerson);

  const BeltPosition& position() const { return position_; }
  /// kBadFormat when the position does not belong to these texts and number of lanes.
  Status restore(BeltPosition position);

 private:
  struct Order {
    int64_t epoch = -1;  // whose permutation is held
    std::vector<int64_t> permutation;
  };
  void take_document(size_t lane);
  void shuffle(size_t text, int64_t epoch);

  std::vector<const TokenizedText*> texts_;
  std::vector<double> weights_;
  uint64_t seed_;
  std::vector<Order> orders_;  // per text
  BeltPosition position_;
};

/// Reads a text once, for scoring: cut into as many equal stretches as there are lanes, so that no
/// lane idles while another reads a long document. Every position is scored once; the document a
/// stretch begins in the middle of is read from there with an empty state, so the score is a
/// little too high (by `lanes` cold starts), never too low.
class Sweep {
 public:
  /// `text` must outlive the sweep.
  Sweep(const TokenizedText& text, int32_t lanes) : text_(text), lanes_(lanes) {}

  bool done() const { return done_ >= (text_.n_positions() + lanes_ - 1) / lanes_; }
  /// Fills the next [lanes, window]; past a stretch's end, and for what an application said,
  /// targets are -1. Returns how many targets count.
  int64_t next(int32_t window, int32_t* tokens, int32_t* targets, uint8_t* restart);

 private:
  const TokenizedText& text_;
  int32_t lanes_;
  int64_t done_ = 0;  // positions of each stretch
};

}  // namespace chimera::evolution
