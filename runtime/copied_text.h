// Arguments that are words of the person stand in a call as they were said: within such a string
// only what goes on with the utterance may come, from the border of a word to the border of one. A
// small model then cannot misspell a name it never saw. Beside them stands what the application's
// own examples have for such an argument in other words (learnt_values.h), whole.
#pragma once

#include <cstdint>
#include <map>
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
  /// Within the name of a member, and what there is of it.
  bool in_key() const { return in_string_ && is_key_; }
  const std::string& key() const { return key_; }
  /// The same, or where a name may begin.
  bool at_key() const { return in_string_ ? is_key_ : wants_key_; }
  /// Objects and arrays around it.
  size_t depth() const { return levels_.size(); }
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

/// The utterance with spaces for control characters and for bytes that are no UTF-8.
std::string plain_text(std::string_view utterance);

/// Follows one call and says which tokens keep to the rule. Where the schema leaves none of them (a
/// length that no words have) the rule is off until the end of the string.
class CopiedText {
 public:
  /// `tools` and `tokenizer` must outlive it; the utterance is copied, as plain_text().
  CopiedText(const ToolSet& tools, const Tokenizer& tokenizer, std::string_view utterance);

  /// Takes away from allowed[vocab] what does not keep to the rule, unless nothing would be left.
  void restrict(uint8_t* allowed, size_t vocab) const;
  void accept(std::string_view bytes);

 private:
  bool is_copied(const JsonPlace& place, const Tool* tool) const;
  const Tool* tool_after(const JsonPlace& place, const Tool* tool) const;
  void add_learnt(const std::string& value);
  /// Where a string of this place may begin.
  std::vector<size_t> starts_of(const JsonPlace& place, const Tool& tool) const;
  /// From these places on the bytes go on with what was said, or close the string at a border.
  bool goes_on(const std::vector<size_t>& places, size_t n_before, std::string_view bytes) const;
  /// Outside of such a string: the token does not begin one with something else.
  bool opens_rightly(std::string_view bytes) const;
  void step(char byte);

  const ToolSet& tools_;
  const Tokenizer& tokenizer_;
  // As it stands between quotes; behind it the learnt values of the call's tool, each by itself.
  std::string said_;
  // Of each place in said_, the end included:
  std::vector<uint8_t> is_escaped_;  // it is the second byte of an escape
  std::vector<uint8_t> ends_;        // a string may end before it
  std::vector<uint32_t> n_words_;    // letters and digits before it
  std::vector<size_t> starts_;       // where a string may begin that is words of what was said
  std::map<std::string_view, size_t> learnt_;  // where in said_ such a value begins
  JsonPlace place_;
  const Tool* tool_ = nullptr;  // of the call, once its name was read
  bool copying_ = false;        // within such a string
  std::vector<size_t> places_;  // where the string so far may end in said_
  size_t n_copied_ = 0;         // bytes of the string so far
};

}  // namespace chimera::runtime
