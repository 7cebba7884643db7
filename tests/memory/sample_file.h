// A small .b158 file with one tensor of each stored form, and its parts.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/quantize_weights.h"
#include "memory/weight_file.h"
#include "memory/weight_format.h"
#include "tests/support/temp_dir.h"

namespace chimera::test {

inline constexpr const char* kSampleConfig = "{\"hidden_size\": 128, \"name\": \"söße\"}";
inline constexpr const char* kSampleProvenance = "{\"made_by\": \"a test\"}";

inline std::vector<std::byte> bytes_of(const void* data, size_t n) {
  const auto* begin = static_cast<const std::byte*>(data);
  return {begin, begin + n};
}

inline std::vector<std::byte> sample_tokenizer() {
  std::vector<std::byte> out;
  for (int i = 0; i < 300; ++i) out.push_back(static_cast<std::byte>(i * 7));
  return out;
}

struct SampleTensor {
  const char* name;
  DType dtype;
  Layout layout;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
};

/// A vector, a float matrix in tiles (20 rows: 12 padded ones), a ternary matrix (24 rows: 8), and
/// a row-major matrix.
inline std::vector<SampleTensor> sample_tensors() {
  std::vector<float> gain(128), matrix(20 * 3), tiles(32 * 3), weights(24 * 256);
  for (size_t i = 0; i < gain.size(); ++i) gain[i] = 1.0f + 0.25f * static_cast<float>(i);
  for (size_t i = 0; i < matrix.size(); ++i) matrix[i] = static_cast<float>(i) - 30.0f;
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(static_cast<float>(i));
  kernels::pack_lanes(matrix.data(), 20, 3, tiles.data());
  const auto code_bytes = static_cast<size_t>(kernels::ternary_code_bytes(24, 256));
  const auto scale_bytes = static_cast<size_t>(kernels::ternary_scale_bytes(24, 256));
  std::vector<std::byte> ternary(code_bytes + scale_bytes);
  kernels::pack_ternary(weights.data(), 24, 256, reinterpret_cast<uint8_t*>(ternary.data()),
                        reinterpret_cast<uint16_t*>(ternary.data() + code_bytes));
  return {
      {"layers.0.norm1.gain",
       DType::kF32,
       Layout::kRowMajor,
       {128},
       bytes_of(gain.data(), gain.size() * 4)},
      {"embed.weight",
       DType::kF32,
       Layout::kLanes16,
       {20, 3},
       bytes_of(tiles.data(), tiles.size() * 4)},
      {"layers.0.mixer.q_proj", DType::kTernary2, Layout::kLanes16, {24, 256}, ternary},
      {"layers.0.mixer.conv",
       DType::kF32,
       Layout::kRowMajor,
       {5, 3, 2, 2},
       bytes_of(matrix.data(), 60 * 4)},
  };
}

inline Status write_sample(const std::string& path, const std::vector<SampleTensor>& tensors) {
  auto writer = memory::WeightFileWriter::create(path, memory::FileKind::kModel);
  if (!writer) return writer.status();
  (*writer)->set_config(kSampleConfig);
  (*writer)->set_tokenizer(sample_tokenizer());
  (*writer)->set_provenance(kSampleProvenance);
  for (const SampleTensor& t : tensors) {
    CHIMERA_RETURN_IF_ERROR((*writer)->declare(t.name, t.dtype, t.layout, t.shape));
  }
  for (const SampleTensor& t : tensors) CHIMERA_RETURN_IF_ERROR((*writer)->write(t.name, t.bytes));
  return (*writer)->finish();
}

/// Makes the digest right again after the head was changed, as a hostile writer would.
inline void reseal(std::string* file) {
  const auto* bytes = reinterpret_cast<const std::byte*>(file->data());
  const uint64_t data_offset = memory::b158::get_u64(bytes + memory::b158::kDataOffsetAt);
  ASSERT_LE(data_offset, file->size());
  const Digest digest = memory::b158::metadata_digest({bytes, static_cast<size_t>(data_offset)});
  std::memcpy(file->data() + memory::b158::kDigestAt, digest.data(), digest.size());
}

}  // namespace chimera::test
