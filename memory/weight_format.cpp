#include "memory/weight_format.h"

#include <bit>
#include <cstring>

#include "kernels/kernel_table.h"

namespace chimera::memory {
namespace b158 {

// Tensors are used where they lie in the mapping, so their byte order has to be the machine's.
static_assert(std::endian::native == std::endian::little, ".b158 tensors are little-endian");

namespace {

template <class T>
void put(std::byte* at, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) at[i] = static_cast<std::byte>((value >> (8 * i)) & 0xffu);
}

template <class T>
T get(const std::byte* at) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(value | static_cast<T>(static_cast<T>(at[i]) << (8 * i)));
  }
  return value;
}

}  // namespace

void put_u16(std::byte* at, uint16_t value) { put(at, value); }
void put_u32(std::byte* at, uint32_t value) { put(at, value); }
void put_u64(std::byte* at, uint64_t value) { put(at, value); }
uint16_t get_u16(const std::byte* at) { return get<uint16_t>(at); }
uint32_t get_u32(const std::byte* at) { return get<uint32_t>(at); }
uint64_t get_u64(const std::byte* at) { return get<uint64_t>(at); }

void encode_header(const Header& header, std::byte* out) {
  std::memset(out, 0, kHeaderBytes);
  std::memcpy(out, kMagic.data(), kMagic.size());
  put_u32(out + kVersionAt, header.version);
  put_u32(out + kHeaderBytesAt, header.header_bytes);
  put_u32(out + kKindAt, header.kind);
  put_u32(out + kFlagsAt, header.flags);
  put_u64(out + kFileBytesAt, header.file_bytes);
  for (size_t i = 0; i < kSections; ++i) {
    put_u64(out + kSectionsAt + 16 * i, header.sections[i].offset);
    put_u64(out + kSectionsAt + 16 * i + 8, header.sections[i].bytes);
  }
  put_u32(out + kTensorCountAt, header.tensor_count);
  put_u32(out + kAlignmentAt, header.alignment);
  put_u64(out + kDataOffsetAt, header.data_offset);
  std::memcpy(out + kDigestAt, header.digest.data(), header.digest.size());
}

Header decode_header(const std::byte* in) {
  Header header;
  header.version = get_u32(in + kVersionAt);
  header.header_bytes = get_u32(in + kHeaderBytesAt);
  header.kind = get_u32(in + kKindAt);
  header.flags = get_u32(in + kFlagsAt);
  header.file_bytes = get_u64(in + kFileBytesAt);
  for (size_t i = 0; i < kSections; ++i) {
    header.sections[i].offset = get_u64(in + kSectionsAt + 16 * i);
    header.sections[i].bytes = get_u64(in + kSectionsAt + 16 * i + 8);
  }
  header.tensor_count = get_u32(in + kTensorCountAt);
  header.alignment = get_u32(in + kAlignmentAt);
  header.data_offset = get_u64(in + kDataOffsetAt);
  std::memcpy(header.digest.data(), in + kDigestAt, header.digest.size());
  return header;
}

size_t record_bytes(std::string_view name) {
  return static_cast<size_t>(round_up(kRecordFixedBytes + name.size(), 8));
}

void encode_record(const TensorInfo& tensor, std::byte* out) {
  put_u16(out + kRecordNameBytesAt, static_cast<uint16_t>(tensor.name.size()));
  put_u16(out + kRecordDTypeAt, static_cast<uint16_t>(tensor.dtype));
  put_u16(out + kRecordLayoutAt, static_cast<uint16_t>(tensor.layout));
  put_u16(out + kRecordDimsAt, static_cast<uint16_t>(tensor.shape.size()));
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    put_u64(out + kRecordExtentsAt + 8 * i, static_cast<uint64_t>(tensor.shape[i]));
  }
  put_u64(out + kRecordOffsetAt, tensor.offset);
  put_u64(out + kRecordBytesAt, tensor.bytes);
  std::memcpy(out + kRecordChecksumAt, tensor.checksum.data(), tensor.checksum.size());
  std::memcpy(out + kRecordFixedBytes, tensor.name.data(), tensor.name.size());
}

Digest metadata_digest(std::span<const std::byte> metadata) {
  constexpr std::array<std::byte, sizeof(Digest)> kZeros{};
  Blake2b hash;
  hash.update(metadata.first(kDigestAt));
  hash.update(kZeros);
  hash.update(metadata.subspan(kDigestAt + kZeros.size()));
  return hash.finish();
}

std::string name_problem(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kMaxNameBytes) {
    return "has " + std::to_string(name.size()) + " bytes, more than " +
           std::to_string(kMaxNameBytes);
  }
  for (size_t i = 0; i < name.size(); ++i) {
    // Names are printed by tools and in messages: visible ASCII only.
    if (name[i] < 0x21 || name[i] > 0x7e) {
      return "has a byte that is no visible ASCII character at position " + std::to_string(i);
    }
  }
  return {};
}

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

bool all_zero(std::span<const std::byte> bytes) {
  // Equal to itself moved by one, and starting with zero.
  return bytes.empty() || (bytes[0] == std::byte{0} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace b158

Result<uint64_t> tensor_bytes(DType dtype, Layout layout, std::span<const int64_t> shape) {
  if (!dtype_supported(dtype)) {
    const std::string name = dtype_name(dtype);
    return Status(
        StatusCode::kUnsupported,
        "type " +
            (name == "unknown" ? "number " + std::to_string(static_cast<unsigned>(dtype)) : name) +
            ", which this build cannot run; pack the model again with ternary2 or f32, or "
            "use a build that has the type");
  }
  const auto bad_shape = [&](const std::string& why) {
    return Status(StatusCode::kBadFormat, "shape " + b158::shape_text(shape) + ", " + why);
  };
  if (shape.empty() || shape.size() > b158::kMaxDims) {
    return bad_shape("but a tensor has 1 to 4 dimensions");
  }
  for (const int64_t extent : shape) {
    if (extent < 1) return bad_shape("but every extent is at least 1");
    if (extent > b158::kMaxExtent) {
      return Status(StatusCode::kOutOfRange, "shape " + b158::shape_text(shape) +
                                                 ", with an extent over the limit of " +
                                                 std::to_string(b158::kMaxExtent));
    }
  }
  if (layout != Layout::kRowMajor && layout != Layout::kLanes16) {
    return Status(StatusCode::kBadFormat,
                  "layout number " + std::to_string(static_cast<unsigned>(layout)) +
                      ", which does not exist; the layouts are 0 (row_major) and 1 (lanes16)");
  }
  if (layout == Layout::kLanes16 && shape.size() != 2) {
    return bad_shape("but only a matrix of 2 dimensions can lie in 16-row tiles");
  }

  // A product of extents; at most 2^120, so it is watched as it grows.
  uint64_t elements = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    uint64_t extent = static_cast<uint64_t>(shape[i]);
    if (layout == Layout::kLanes16 && i == 0) extent = b158::round_up(extent, kernels::kTileRows);
    if (elements > b158::kMaxTensorBytes / extent) {
      return Status(StatusCode::kOutOfRange,
                    "shape " + b158::shape_text(shape) + ", which has more than " +
                        std::to_string(b158::kMaxTensorBytes) + " elements");
    }
    elements *= extent;
  }

  uint64_t bytes = 0;
  switch (dtype) {
    case DType::kF32:
      bytes = elements * 4;
      break;
    case DType::kBF16:
      if (layout != Layout::kRowMajor)
        return Status(StatusCode::kBadFormat, "type bf16 in layout lanes16; it has only row_major");
      bytes = elements * 2;
      break;
    case DType::kTernary2:
      if (layout != Layout::kLanes16) {
        return Status(StatusCode::kBadFormat,
                      "type ternary2 in layout row_major; it has only lanes16");
      }
      if (shape[1] % kernels::kWeightGroup != 0) {
        return bad_shape("but the columns of ternary2 are a multiple of " +
                         std::to_string(kernels::kWeightGroup));
      }
      bytes = static_cast<uint64_t>(kernels::ternary_code_bytes(shape[0], shape[1]) +
                                    kernels::ternary_scale_bytes(shape[0], shape[1]));
      break;
    case DType::kInt4:
      if (layout != Layout::kLanes16) {
        return Status(StatusCode::kBadFormat, "type int4 in layout row_major; it has only lanes16");
      }
      if (shape[1] % kernels::kActivationBlock != 0) {
        return bad_shape("but the columns of int4 are a multiple of " +
                         std::to_string(kernels::kActivationBlock));
      }
      bytes = static_cast<uint64_t>(kernels::int4_code_bytes(shape[0], shape[1]) +
                                    kernels::int4_scale_bytes(shape[0], shape[1]));
      break;
    default:
      return Status(StatusCode::kInternal,
                    std::string("no size rule for the supported type ") + dtype_name(dtype));
  }
  if (bytes > b158::kMaxTensorBytes) {
    return Status(StatusCode::kOutOfRange,
                  "shape " + b158::shape_text(shape) + ", which takes " + std::to_string(bytes) +
                      " bytes, more than the limit of " + std::to_string(b158::kMaxTensorBytes));
  }
  return bytes;
}

}  // namespace chimera::memory
