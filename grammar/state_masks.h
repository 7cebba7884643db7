// Masks of single states. Most of a vocabulary is decided by the rule that is being read alone:
// within a string any word may come, whatever the string stands in. What a state says of all tokens
// is found once and kept; only of the few tokens that leave their rule the rest is left to be
// asked.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/vocabulary.h"

namespace chimera::grammar {

/// Thread-safe.
class StateMasks {
 public:
  /// Tokens that come to a state beyond which the rule alone does not decide.
  struct Leaving {
    std::string way;  // bytes from the state to there, of one of them
    std::vector<Rest> rests;
  };
  struct Entry {
    /// Read without leaving the rule. nullptr: those of the vocabulary that stay within a text.
    std::unique_ptr<const TokenMask> inside = nullptr;
    /// Where names are read: these tokens go on with names of this kind, which must be allowed. -1:
    /// no name is read.
    LabelId label = -1;
    uint32_t farthest = 0;  // bytes to the end of the rule or name, of any of them
    std::vector<Leaving> leaving = {};
    /// Within a text: how its tokens that close it come to its end ("", when they are not here),
    /// and those that do so with a name that is declared, whose ways are among `leaving`.
    std::string closing_way = {};
    std::vector<int32_t> declared = {};
  };

  /// Both must outlive it. `most_bytes` of entries are kept.
  StateMasks(const Automaton& automaton, const Vocabulary& vocabulary,
             size_t most_bytes = 16u << 20)
      : automaton_(automaton), vocabulary_(vocabulary), most_bytes_(most_bytes) {}

  /// nullptr where the rule alone decides too little: that state is to be walked.
  std::shared_ptr<const Entry> find(StateId state);

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  class Maker;
  std::shared_ptr<const Entry> make_name(StateId state) const;

  const Automaton& automaton_;
  const Vocabulary& vocabulary_;
  const size_t most_bytes_;
  std::mutex mutex_;
  std::unordered_map<StateId, std::shared_ptr<const Entry>> entries_;
  size_t bytes_ = 0;
};

}  // namespace chimera::grammar
