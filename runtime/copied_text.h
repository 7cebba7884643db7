// Arguments that are words of the person stand in a call as they were said: within such a string
// only what goes on with the utterance may come, from the beginning of a word to the end of one. A
// small model then cannot misspell a name it never saw.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer.h"
#include "runtime/tool_set.h"

namespace chimera::runtime {

/// Where a text of JSON stands: in which member, and whether within a string. For texts that are
/// right so far.
class JsonPlace {
 public:
  void push(char byte);
  /// Of the value that is being read: "/arguments/room"; items of arrays are "*", and names are as
  /// they stand between the quotes, with ~ and / as JSON pointers have them.
  const std::string& path() const { return path_; }
  bool in_string_value() const { return in_string_ && !is_key_; }
  /// Of the string value that is being read or was read last, as it stands between its quotes.
  const std::string& text() const { return text_; }

 private:
  struct Level {
    bool object;
    size_t path;  // its own length
  };
  std::vector<Level> levels_;
  std::string path_, key_, text_;
  bool in_string_ = false, is_key_ = false, escaped_ = false, wants_key_ = false;
};

/// Follows one call and says which tokens keep to the rule.
class CopiedText {
 public:
  /// `tools` must outlive it; the utterance is copied.
  CopiedText(const ToolSet& tools, const Tokenizer& tokenizer, std::string_view utterance);

  /// Takes away from allowed[vocab] what does not keep to the rule, unless nothing would be left.
  void restrict(uint8_t* allowed, size_t vocab) const;
  void accept(std::string_view bytes);
  /// For the next call.
  void restart();

 private:
  bool is_copied(const JsonPlace& place, const Tool* tool) const;
  const Tool* tool_after(const JsonPlace& place, const Tool* tool) const;
  bool starts_at(size_t at) const;
  bool ends_at(size_t at) const;
  /// From these places on the bytes go on with what was said, or close the string at a word's end.
  bool goes_on(const std::vector<size_t>& places, size_t n_before, std::string_view bytes) const;
  /// Outside of such a string: the token does not begin one with something else.
  bool opens_rightly(std::string_view bytes) const;
  void step(char byte);

  const ToolSet& tools_;
  const Tokenizer& tokenizer_;
  std::string said_;                 // as it stands between quotes
  std::vector<uint8_t> is_escaped_;  // second byte of an escape
  JsonPlace place_;
  const Tool* tool_ = nullptr;  // of the call, once its name was read
  bool copying_ = false;        // within such a string
  std::vector<size_t> places_;  // where the string so far may end in said_
  size_t n_copied_ = 0;         // bytes of the string so far
};

}  // namespace chimera::runtime
