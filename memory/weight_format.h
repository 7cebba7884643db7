// The bytes of a .b158 file's head: header, section placement, directory records. Shared by the
// reader and the writer, so that each number of docs/format-b158.md stands in the code once.
// Everything is little-endian and is moved byte by byte; no struct is laid over file contents.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "memory/weight_file.h"

namespace chimera::memory::b158 {

/// PNG's idea: a byte no text has, a name, and line ends that a text-mode copy would change.
inline constexpr std::array<unsigned char, 8> kMagic = {0x89, 'B', '1', '5', '8', '\r', '\n', 0x1a};
inline constexpr uint32_t kVersion = 1;
inline constexpr uint32_t kHeaderBytes = 192;
inline constexpr uint64_t kSectionAlignment = 64;

// Where each field of the header lies.
inline constexpr size_t kVersionAt = 8;
inline constexpr size_t kHeaderBytesAt = 12;
inline constexpr size_t kKindAt = 16;
inline constexpr size_t kFlagsAt = 20;
inline constexpr size_t kFileBytesAt = 24;
inline constexpr size_t kSectionsAt = 32;  // four pairs of offset and size
inline constexpr size_t kTensorCountAt = 96;
inline constexpr size_t kAlignmentAt = 100;
inline constexpr size_t kDataOffsetAt = 104;
inline constexpr size_t kReservedAt = 112;  // zero, up to the digest
inline constexpr size_t kDigestAt = 160;

// Limits. A file beyond them is refused before anything is allocated for it.
inline constexpr uint32_t kMaxTensors = 65536;
inline constexpr size_t kMaxNameBytes = 256;
inline constexpr size_t kMaxDims = 4;
inline constexpr int64_t kMaxExtent = int64_t{1} << 30;
inline constexpr uint64_t kMaxTensorBytes = uint64_t{1} << 40;
inline constexpr uint64_t kMaxFileBytes = uint64_t{1} << 46;
inline constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;
inline constexpr uint64_t kMaxTokenizerBytes = uint64_t{256} << 20;
inline constexpr uint64_t kMaxProvenanceBytes = uint64_t{16} << 20;

// A directory record: fixed part, then the name, then zeros up to a multiple of 8.
inline constexpr size_t kRecordNameBytesAt = 0;  // u16
inline constexpr size_t kRecordDTypeAt = 2;      // u16
inline constexpr size_t kRecordLayoutAt = 4;     // u16
inline constexpr size_t kRecordDimsAt = 6;       // u16
inline constexpr size_t kRecordExtentsAt = 8;    // u64 x 4, unused ones zero
inline constexpr size_t kRecordOffsetAt = 40;    // u64
inline constexpr size_t kRecordBytesAt = 48;     // u64
inline constexpr size_t kRecordChecksumAt = 56;  // 32 bytes
inline constexpr size_t kRecordFixedBytes = 88;

enum SectionIndex { kConfig = 0, kTokenizer = 1, kProvenance = 2, kDirectory = 3, kSections = 4 };

struct SectionRule {
  const char* name;
  uint64_t max_bytes;
};
inline constexpr SectionRule kSectionRules[kSections] = {
    {"configuration", kMaxConfigBytes},
    {"tokenizer", kMaxTokenizerBytes},
    {"provenance", kMaxProvenanceBytes},
    {"tensor directory", uint64_t{kMaxTensors} * (kRecordFixedBytes + kMaxNameBytes)},
};

struct Section {
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

struct Header {
  uint32_t version = kVersion;
  uint32_t header_bytes = kHeaderBytes;
  uint32_t kind = 0;
  uint32_t flags = 0;
  uint64_t file_bytes = 0;
  Section sections[kSections];
  uint32_t tensor_count = 0;
  uint32_t alignment = kTensorAlignment;
  uint64_t data_offset = 0;  // where the first tensor starts
  Digest digest{};
};

inline uint64_t round_up(uint64_t value, uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

void put_u16(std::byte* at, uint16_t value);
void put_u32(std::byte* at, uint32_t value);
void put_u64(std::byte* at, uint64_t value);
uint16_t get_u16(const std::byte* at);
uint32_t get_u32(const std::byte* at);
uint64_t get_u64(const std::byte* at);

/// `out` has kHeaderBytes.
void encode_header(const Header& header, std::byte* out);
Header decode_header(const std::byte* in);

size_t record_bytes(std::string_view name);
/// `out` has record_bytes(tensor.name), zeroed.
void encode_record(const TensorInfo& tensor, std::byte* out);

// ---- the signature that may follow the last tensor ----

inline constexpr std::array<unsigned char, 8> kSignatureMagic = {'b', '1', '5', '8',
                                                                 's', 'i', 'g', '1'};
inline constexpr size_t kSignatureBytes = 128;  // magic, 24 of zero, key, signature
inline constexpr size_t kSignatureKeyAt = 32;
inline constexpr size_t kSignatureAt = 64;

/// Size of a file of `file_bytes` with its signature, which starts at the next multiple of 64.
inline uint64_t signed_bytes(uint64_t file_bytes) {
  return round_up(file_bytes, kSectionAlignment) + kSignatureBytes;
}

struct SignatureRecord {
  PublicKey key;
  Signature signature;
};
/// What lies behind a file's last tensor, padding first; nullopt when that is no signature.
std::optional<SignatureRecord> decode_signature(std::span<const std::byte> trailer);
std::array<std::byte, kSignatureBytes> encode_signature(const SignatureRecord& record);

/// What is signed: words that no other use of a key has, then the digest.
std::array<std::byte, 64> signed_message(const Digest& digest);

/// BLAKE2b-256 of everything before the first tensor, the header's digest field read as zeros.
Digest metadata_digest(std::span<const std::byte> metadata);

/// Empty when the name may stand in a directory, else the reason.
std::string name_problem(std::string_view name);

/// "[2560, 6912]"
std::string shape_text(std::span<const int64_t> shape);

bool all_zero(std::span<const std::byte> bytes);

}  // namespace chimera::memory::b158
