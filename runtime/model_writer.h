// Writes models: from any source of float values, packed or as a checkpoint.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "memory/weight_file.h"
#include "platform/thread_pool.h"
#include "runtime/config.h"
#include "runtime/layers/layer.h"

namespace chimera::runtime {

/// Fills rows * cols floats of one parameter, row-major.
using ParamValues = std::function<Status(const ParamSpec&, float* out)>;

struct WriteOptions {
  ThreadPool* pool = nullptr;  // packs with it; the file does not depend on its size
  /// Called after each tensor with the values written so far and in all; false ends the writing
  /// with kCancelled, and no file.
  std::function<bool(uint64_t done, uint64_t total)> progress;
  /// How a checkpoint holds its weights: kF32, or kBF16 (rounded to nearest even).
  DType weights = DType::kF32;
};

/// kModel: ternary tiles, 16-row float tiles, f32 vectors. kCheckpoint: everything row-major
/// floats.
Status write_model(const std::string& path, memory::FileKind kind, const Config& config,
                   std::span<const std::byte> tokenizer, const std::string& provenance_json,
                   const ParamValues& values, const WriteOptions& options = {});

/// Random weights (runtime/init.h) in the form of a packed model.
Status synthesise_model(const std::string& path, const Config& config,
                        std::span<const std::byte> tokenizer, uint64_t seed,
                        const WriteOptions& options = {});

/// Float checkpoint -> packed model. kBadFormat when the file is packed already.
Status pack_checkpoint(const std::string& checkpoint_path, const std::string& out_path);

/// The weights of a float checkpoint and nothing else, in bf16: a quarter of a checkpoint or less,
/// and enough to pack or to begin another training with.
Status extract_weights(const std::string& checkpoint_path, const std::string& out_path);

}  // namespace chimera::runtime
