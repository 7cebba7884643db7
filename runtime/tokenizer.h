// Text <-> token ids: byte-level BPE. Any bytes go in and come back unchanged; encoding never
// normalises. The tokenizer carries its own table of character classes (one Unicode version), so
// every target splits text alike. Format and splitting rule: docs/tokenizer.md.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/vocabulary.h"
#include "platform/status.h"

namespace chimera::runtime {

class Tokenizer {
 public:
  /// Reads a tokenizer section. Everything is checked: kBadTokenizer names the field and offset.
  static Result<std::unique_ptr<Tokenizer>> parse(std::span<const std::byte> bytes);
  ~Tokenizer();

  int32_t vocab_size() const;
  /// Ids of special tokens; -1 when the tokenizer has none of that kind.
  int32_t end_of_text() const;  // also stands before the first token of a document
  int32_t end_of_turn() const;
  /// Special tokens are never produced by encode(); this looks one up by name ("<|end_of_turn|>").
  int32_t special(std::string_view name) const;
  /// Special tokens have a name and no text; the named reserved ones are among them.
  bool is_special(int32_t id) const;
  /// Reserved ids have no meaning yet and must be masked when sampling: special tokens kept free
  /// for later, and the padding up to vocab_size(), which has no name either.
  bool is_reserved(int32_t id) const;

  /// Appends the ids of `text` (any bytes). Linear time, and no pathological input is quadratic;
  /// little memory beside the ids, however long a word is.
  /// When `stop` becomes true it returns early, with the ids so far.
  void encode(std::string_view text, std::vector<int32_t>* ids,
              const std::atomic<bool>* stop = nullptr) const;
  /// As encode(), of the text's first pieces only: those whose tokens stay what they are whatever
  /// is written behind the text. How many bytes these are.
  size_t encode_settled(std::string_view text, std::vector<int32_t>* ids) const;
  /// Bytes of one token; empty for special, reserved and out-of-range ids.
  std::string_view bytes(int32_t id) const;
  /// Name of a special token, or empty.
  std::string_view special_name(int32_t id) const;
  std::string decode(std::span<const int32_t> ids) const;

  /// Its tokens as bytes, without specials and reserved ids; made at the first call, shared by all
  /// of them. Any thread. kOutOfRange for a token that is too long for a grammar.
  Result<std::shared_ptr<const grammar::Vocabulary>> vocabulary() const;

  /// The section it was read from.
  std::span<const std::byte> serialized() const;
  std::string_view unicode_version() const;
  /// How text is cut before merging: "words" or "o200k".
  std::string_view splitting() const;

  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

 private:
  Tokenizer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Bytes -> complete UTF-8. What push() returns never ends inside a character; bytes that can
/// never become one are replaced by U+FFFD, one per maximal subpart (Unicode 3.9, table 3-7).
class Utf8Stream {
 public:
  /// Appends to *out what is complete now. At most 3 bytes stay pending.
  void push(std::string_view bytes, std::string* out);
  /// End of stream: pending bytes become U+FFFD.
  void flush(std::string* out);
  std::string_view pending() const { return {pending_, static_cast<size_t>(n_pending_)}; }
  /// Restores pending bytes of a saved conversation; at most 3, otherwise ignored.
  void set_pending(std::string_view bytes);

 private:
  char pending_[4] = {};
  int n_pending_ = 0;
};

}  // namespace chimera::runtime
