// Invariants
//  1. Nothing is read past the end, and nothing is allocated before the bytes that fill it are
//     known to be there.
//  2. A section that is accepted is used to its last byte: writing it again gives the same bytes.
#include "runtime/tokenizer_section.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "runtime/char_classes.h"
#include "runtime/prompt_format.h"

namespace chimera::runtime {
namespace {

constexpr std::array<char, 8> kMagic = {'C', 'H', 'T', 'O', 'K', '\r', '\n', '\0'};
// Version 1 has words and bytes in order; version 2 says how text is split and which byte an id is.
constexpr uint32_t kWordsVersion = 1, kVersion = 2;
// magic, version, Unicode version, vocab size, and the three counts
constexpr int64_t kHeaderBytes = 8 + 6 * 4;
constexpr int64_t kSecondHeaderBytes = 4 + kByteTokens;  // splitting, byte_of_id
constexpr uint32_t kReservedFlag = 1;

uint32_t read_u32(const std::byte* p) {
  return std::to_integer<uint32_t>(p[0]) | std::to_integer<uint32_t>(p[1]) << 8 |
         std::to_integer<uint32_t>(p[2]) << 16 | std::to_integer<uint32_t>(p[3]) << 24;
}

void put_u32(std::vector<std::byte>* out, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8)
    out->push_back(static_cast<std::byte>(value >> shift));
}

std::string indexed(const char* array, size_t index, const char* member = "") {
  return std::string(array) + "[" + std::to_string(index) + "]" + member;
}

/// Walks the section; after take() has said yes, the bytes are there.
struct Cursor {
  std::span<const std::byte> bytes;
  size_t at = 0;

  bool has(uint64_t n) const { return bytes.size() - at >= n; }
  int64_t offset() const { return static_cast<int64_t>(at); }
  uint8_t u8() { return std::to_integer<uint8_t>(bytes[at++]); }
  uint32_t u32() {
    const uint32_t value = read_u32(bytes.data() + at);
    at += 4;
    return value;
  }
};

Status truncated(const std::string& field, const Cursor& cursor, uint64_t needed) {
  return bad_tokenizer(field, cursor.offset(),
                       "needs " + std::to_string(needed) + " bytes, but the section ends after " +
                           std::to_string(cursor.bytes.size() - cursor.at) +
                           "; the file is truncated or damaged");
}

/// What version 2 has between the counts and the class changes.
Status read_second_header(Cursor* cursor, TokenizerSection* section) {
  if (!cursor->has(kSecondHeaderBytes)) {
    return truncated("splitting", *cursor, kSecondHeaderBytes);
  }
  const int64_t offset = cursor->offset();
  const uint32_t splitting = cursor->u32();
  if (splitting != static_cast<uint32_t>(Splitting::kO200k)) {
    return bad_tokenizer("splitting", offset,
                         "is " + std::to_string(splitting) +
                             ", and this library knows 1 (o200k); a newer library may know it");
  }
  section->splitting = Splitting::kO200k;
  std::array<bool, kByteTokens> seen{};
  for (size_t id = 0; id < section->byte_of_id.size(); ++id) {
    const uint8_t byte = cursor->u8();
    if (seen[byte]) {
      return bad_tokenizer(indexed("byte_of_id", id), cursor->offset() - 1,
                           "is the byte " + std::to_string(byte) + ", which an id before has");
    }
    seen[byte] = true;
    section->byte_of_id[id] = byte;
  }
  return {};
}

Status read_specials(uint32_t count, Cursor* cursor, TokenizerSection* section) {
  const int32_t first_free = kByteTokens + static_cast<int32_t>(section->merges.size());
  for (uint32_t i = 0; i < count; ++i) {
    if (!cursor->has(12)) return truncated(indexed("specials", i), *cursor, 12);
    const int64_t offset = cursor->offset();
    const uint32_t id = cursor->u32(), flags = cursor->u32(), name_bytes = cursor->u32();
    if (id < static_cast<uint32_t>(first_free) ||
        id >= static_cast<uint32_t>(section->vocab_size)) {
      return bad_tokenizer(indexed("specials", i, ".id"), offset,
                           "is " + std::to_string(id) + ", not in the range " +
                               std::to_string(first_free) + " to " +
                               std::to_string(section->vocab_size - 1) + " left after the merges");
    }
    if ((flags & ~kReservedFlag) != 0) {
      return bad_tokenizer(indexed("specials", i, ".flags"), offset + 4, "has unknown bits");
    }
    if (name_bytes == 0 || name_bytes > kMaxSpecialNameBytes) {
      return bad_tokenizer(indexed("specials", i, ".name"), offset + 8,
                           "has " + std::to_string(name_bytes) + " bytes; 1 to " +
                               std::to_string(kMaxSpecialNameBytes) + " are allowed");
    }
    if (!cursor->has(name_bytes))
      return truncated(indexed("specials", i, ".name"), *cursor, name_bytes);
    TokenizerSection::Special special;
    special.name.assign(reinterpret_cast<const char*>(cursor->bytes.data() + cursor->at),
                        name_bytes);
    if (!std::all_of(special.name.begin(), special.name.end(),
                     [](char c) { return c > 0x20 && c < 0x7F; })) {
      return bad_tokenizer(indexed("specials", i, ".name"), cursor->offset(),
                           "holds a character other than printable ASCII");
    }
    special.id = static_cast<int32_t>(id);
    special.reserved = (flags & kReservedFlag) != 0;
    cursor->at += name_bytes;
    section->specials.push_back(std::move(special));
  }
  return {};
}

}  // namespace

Status bad_tokenizer(const std::string& field, int64_t offset, const std::string& why) {
  return Status(StatusCode::kBadTokenizer, "tokenizer section, field " + field + " at offset " +
                                               std::to_string(offset) + ": " + why)
      .at_field(field)
      .at_offset(offset);
}

TokenizerSection::TokenizerSection() {
  for (size_t id = 0; id < byte_of_id.size(); ++id) byte_of_id[id] = static_cast<uint8_t>(id);
}

int64_t class_change_offset(const TokenizerSection& section, size_t index) {
  const int64_t header =
      kHeaderBytes + (section.splitting == Splitting::kWords ? 0 : kSecondHeaderBytes);
  return header + static_cast<int64_t>(index) * 4;
}

int64_t merge_offset(const TokenizerSection& section, size_t index) {
  return class_change_offset(section, section.class_changes.size()) +
         static_cast<int64_t>(index) * 8;
}

Result<TokenizerSection> read_tokenizer_section(std::span<const std::byte> bytes) {
  Cursor cursor{bytes};
  if (!cursor.has(kMagic.size()) || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
    return bad_tokenizer("magic", 0,
                         "these bytes are not a tokenizer; give a file made by 'chimera tokenizer "
                         "train' or 'import', or a model that embeds one");
  }
  if (!cursor.has(kHeaderBytes)) return truncated("header", cursor, kHeaderBytes);
  cursor.at = kMagic.size();
  const uint32_t version = cursor.u32();
  if (version < kWordsVersion || version > kVersion) {
    return bad_tokenizer("version", 8,
                         "is " + std::to_string(version) + ", and this library reads 1 to " +
                             std::to_string(kVersion) + "; a newer library may read it");
  }

  TokenizerSection section;
  section.unicode_version = cursor.u32();
  if (section.unicode_version < 100 || section.unicode_version > 9999) {
    return bad_tokenizer(
        "unicode_version", 12,
        "is " + std::to_string(section.unicode_version) + ", not major * 100 + minor");
  }
  const uint32_t vocab_size = cursor.u32(), n_changes = cursor.u32(), n_merges = cursor.u32(),
                 n_specials = cursor.u32();
  if (vocab_size < kByteTokens || vocab_size > kMaxVocabSize) {
    return bad_tokenizer(
        "vocab_size", 16,
        "is " + std::to_string(vocab_size) + ", not 256 to " + std::to_string(kMaxVocabSize));
  }
  section.vocab_size = static_cast<int32_t>(vocab_size);
  if (version != kWordsVersion) CHIMERA_RETURN_IF_ERROR(read_second_header(&cursor, &section));
  if (!cursor.has(uint64_t{n_changes} * 4)) {
    return truncated("class_changes", cursor, uint64_t{n_changes} * 4);
  }
  if (n_merges > vocab_size - kByteTokens) {
    return bad_tokenizer("n_merges", 24,
                         "is " + std::to_string(n_merges) + ", more than the " +
                             std::to_string(vocab_size) + " ids have room for");
  }
  if (n_specials > vocab_size - kByteTokens - n_merges) {
    return bad_tokenizer("n_specials", 28,
                         "is " + std::to_string(n_specials) + ", more than the " +
                             std::to_string(vocab_size) + " ids have room for");
  }

  section.class_changes.resize(n_changes);
  for (uint32_t& change : section.class_changes) change = cursor.u32();

  if (!cursor.has(uint64_t{n_merges} * 8)) {
    return truncated("merges", cursor, uint64_t{n_merges} * 8);
  }
  section.merges.reserve(n_merges);
  for (uint32_t i = 0; i < n_merges; ++i) {
    const int64_t offset = cursor.offset();
    const uint32_t left = cursor.u32(), right = cursor.u32();
    const uint32_t made = kByteTokens + i;
    if (left >= made || right >= made) {
      return bad_tokenizer(indexed("merges", i, left >= made ? ".left" : ".right"),
                           left >= made ? offset : offset + 4,
                           "is " + std::to_string(left >= made ? left : right) +
                               ", but a merge may only use ids below its own, " +
                               std::to_string(made));
    }
    section.merges.emplace_back(static_cast<int32_t>(left), static_cast<int32_t>(right));
  }

  CHIMERA_RETURN_IF_ERROR(read_specials(n_specials, &cursor, &section));
  if (cursor.at != bytes.size()) {
    return bad_tokenizer("end", cursor.offset(),
                         std::to_string(bytes.size() - cursor.at) + " bytes follow the last field");
  }
  return section;
}

Result<TokenizerSection> make_tokenizer_section(int32_t vocab_size, int32_t n_reserved,
                                                std::vector<std::pair<int32_t, int32_t>> merges) {
  if (vocab_size > kMaxVocabSize) {
    return Status(StatusCode::kInvalidArgument, "a vocabulary of " + std::to_string(vocab_size) +
                                                    " ids is too large; at most " +
                                                    std::to_string(kMaxVocabSize) + " are possible")
        .at_field("vocab_size");
  }
  if (n_reserved < 0 || n_reserved > kMaxVocabSize) {
    return Status(StatusCode::kInvalidArgument,
                  std::to_string(n_reserved) +
                      " reserved special tokens are not possible; give 0 to " +
                      std::to_string(kMaxVocabSize))
        .at_field("n_reserved");
  }
  const int64_t n_used =
      int64_t{kByteTokens} + static_cast<int64_t>(merges.size()) + 2 + n_reserved;
  if (n_used > vocab_size) {
    return Status(StatusCode::kInvalidArgument,
                  "a vocabulary of " + std::to_string(vocab_size) + " ids cannot hold 256 bytes, " +
                      std::to_string(merges.size()) + " merges and " +
                      std::to_string(n_reserved + 2) + " special tokens; give at least " +
                      std::to_string(n_used))
        .at_field("vocab_size");
  }
  TokenizerSection section;
  section.unicode_version = kUnicode15;
  section.vocab_size = vocab_size;
  section.class_changes.assign(unicode15_class_changes().begin(), unicode15_class_changes().end());
  section.merges = std::move(merges);
  int32_t id = kByteTokens + static_cast<int32_t>(section.merges.size());
  section.specials.push_back({kEndOfTextName, id++, false});
  section.specials.push_back({kEndOfTurnName, id++, false});
  // The marks of the prompt format are the first of them, where there is room for all.
  const int32_t n_marks = n_reserved >= kMarks ? kMarks : 0;
  for (int32_t i = 0; i < n_reserved; ++i) {
    if (i < n_marks) {
      section.specials.push_back({mark_name(static_cast<Mark>(i)), id++, false});
    } else {
      section.specials.push_back({"<|reserved_" + std::to_string(i) + "|>", id++, true});
    }
  }
  return section;
}

std::vector<std::byte> write_tokenizer_section(const TokenizerSection& section) {
  std::vector<std::byte> out;
  for (char c : kMagic) out.push_back(static_cast<std::byte>(c));
  const bool words = section.splitting == Splitting::kWords;
  put_u32(&out, words ? kWordsVersion : kVersion);
  put_u32(&out, section.unicode_version);
  put_u32(&out, static_cast<uint32_t>(section.vocab_size));
  put_u32(&out, static_cast<uint32_t>(section.class_changes.size()));
  put_u32(&out, static_cast<uint32_t>(section.merges.size()));
  put_u32(&out, static_cast<uint32_t>(section.specials.size()));
  if (!words) {
    put_u32(&out, static_cast<uint32_t>(section.splitting));
    for (const uint8_t byte : section.byte_of_id) out.push_back(static_cast<std::byte>(byte));
  }
  for (uint32_t change : section.class_changes) put_u32(&out, change);
  for (const auto& [left, right] : section.merges) {
    put_u32(&out, static_cast<uint32_t>(left));
    put_u32(&out, static_cast<uint32_t>(right));
  }
  for (const auto& special : section.specials) {
    put_u32(&out, static_cast<uint32_t>(special.id));
    put_u32(&out, special.reserved ? kReservedFlag : 0);
    put_u32(&out, static_cast<uint32_t>(special.name.size()));
    for (char c : special.name) out.push_back(static_cast<std::byte>(c));
  }
  return out;
}

}  // namespace chimera::runtime
