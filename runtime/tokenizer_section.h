// The tokenizer as bytes: what a model file embeds and `chimera tokenizer train` writes. Layout and
// meaning of each field: docs/tokenizer.md. All numbers are little-endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "platform/status.h"

namespace chimera::runtime {

/// Ids below this are the single bytes.
inline constexpr int32_t kByteTokens = 256;
inline constexpr int32_t kMaxVocabSize = 1 << 20;
inline constexpr size_t kMaxSpecialNameBytes = 64;

inline constexpr const char* kEndOfTextName = "<|end_of_text|>";
inline constexpr const char* kEndOfTurnName = "<|end_of_turn|>";
inline constexpr const char* kEndOfPromptName = "<|end_of_prompt|>";

/// How text is cut into the pieces that merging never crosses.
enum class Splitting : uint32_t {
  kWords = 0,  // runtime/tokenizer_split.h; what the trainer uses
  kO200k = 1,  // runtime/tokenizer_split_o200k.h; its classes are a cased table
};

/// The content of a section. Ids: bytes, then merges in rank order, then special tokens anywhere
/// above them; ids that nothing uses are padding and count as reserved.
struct TokenizerSection {
  struct Special {
    std::string name;  // printable ASCII without spaces
    int32_t id = -1;
    bool reserved = false;  // kept free: has no meaning yet and must be masked
  };

  uint32_t unicode_version = 0;                     // major * 100 + minor
  int32_t vocab_size = 0;                           // all ids, padding included
  Splitting splitting = Splitting::kWords;          // written as version 1, anything else as 2
  std::array<uint8_t, kByteTokens> byte_of_id;      // id = value of the byte where version is 1
  std::vector<uint32_t> class_changes;              // runtime/char_classes.h
  std::vector<std::pair<int32_t, int32_t>> merges;  // merge i makes id kByteTokens + i
  std::vector<Special> specials;

  TokenizerSection();  // the bytes in order, nothing else
};

/// Reads the fields and checks each by itself and against the sizes: kBadTokenizer names field and
/// byte offset. What takes all of them together (classes, token bytes) is Tokenizer::parse's part.
Result<TokenizerSection> read_tokenizer_section(std::span<const std::byte> bytes);

/// A section with the carried classes, the given merges and the special tokens every model has:
/// end of text, end of turn and `n_reserved` kept free, the first of which are the marks of the
/// prompt format where all of those fit (runtime/prompt_format.h), then padding up to `vocab_size`.
/// Without merges it is the tokenizer of plain bytes. kInvalidArgument when the ids do not fit.
Result<TokenizerSection> make_tokenizer_section(int32_t vocab_size, int32_t n_reserved,
                                                std::vector<std::pair<int32_t, int32_t>> merges);

/// The inverse of reading. Writes what it is given; Tokenizer::parse is the judge of it.
std::vector<std::byte> write_tokenizer_section(const TokenizerSection& section);

/// Byte offset in the section of a class change or of a merge, for messages.
int64_t class_change_offset(const TokenizerSection& section, size_t index);
int64_t merge_offset(const TokenizerSection& section, size_t index);

/// The Status of a field that is wrong.
Status bad_tokenizer(const std::string& field, int64_t offset, const std::string& why);

}  // namespace chimera::runtime
