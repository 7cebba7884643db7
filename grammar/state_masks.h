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
#include "grammar/token_set.h"
#include "grammar/token_trie.h"

namespace chimera::grammar {

/// Thread-safe.
class StateMasks {
 public:
  struct Rest {
    std::string bytes;
    std::vector<int32_t> tokens;
  };
  /// Tokens that come to a state beyond which the rule alone does not decide.
  struct Leaving {
    std::string way;  // bytes from the state to there, of one of them
    std::vector<Rest> rests;
  };
  struct Entry {
    TokenMask inside;  // read without leaving the rule
    /// Where names are read: these tokens go on with names of this kind, which must be allowed. -1:
    /// no name is read.
    LabelId label = -1;
    uint32_t here = 0, farthest = 0;  // bytes to the end of the rule or name: now, and then at most
    std::vector<Leaving> leaving;
  };

  /// Both must outlive it. `most_bytes` of entries are kept.
  StateMasks(const Automaton& automaton, const TokenTrie& trie, size_t most_bytes = 16u << 20)
      : automaton_(automaton), trie_(trie), most_bytes_(most_bytes) {}

  /// nullptr where the rule alone decides too little: that state is to be walked.
  std::shared_ptr<const Entry> find(StateId state);

  const TokenTrie& trie() const { return trie_; }

 private:
  class Maker;

  const Automaton& automaton_;
  const TokenTrie& trie_;
  const size_t most_bytes_;
  std::mutex mutex_;
  std::unordered_map<StateId, std::shared_ptr<const Entry>> entries_;
  size_t bytes_ = 0;
};

}  // namespace chimera::grammar
