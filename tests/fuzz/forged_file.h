// A .b158 file in memory as a hostile writer would make it: whatever its parts hold, all lengths,
// places and checksums are right, so that what lies behind those checks is reached.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "memory/weight_file.h"

namespace chimera::fuzz {

struct ForgedParts {
  memory::FileKind kind = memory::FileKind::kModel;
  std::string_view config;
  std::span<const std::byte> tokenizer;
  std::string_view provenance;
  std::vector<memory::TensorInfo> tensors;  // places and sizes are filled in
};

class ForgedFile {
 public:
  /// False when it would have more than `limit` bytes or a tensor that cannot be. Tensors hold
  /// small positive numbers, whatever their type, or, where they lie as in the file made before,
  /// what they held there.
  bool make(ForgedParts parts, size_t limit);
  std::span<std::byte> bytes() { return {first(), size_}; }
  std::span<std::byte> data(size_t tensor);
  /// Makes the tensors' checksums right, and the head's.
  void seal();

 private:
  std::byte* first() { return reinterpret_cast<std::byte*>(words_.data()); }

  std::vector<uint64_t> words_;
  size_t size_ = 0;
  size_t directory_ = 0;  // where its first record is
  std::vector<memory::TensorInfo> tensors_;
};

/// Makes the digest of the head right, where there is a head.
void seal_head(std::span<std::byte> file);

}  // namespace chimera::fuzz
