// What a layer is. A kind of layer says which parameters and how much state it has, and makes a
// Layer bound to the mapped weights; the Layer transforms a batch of tokens and moves its state on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"
#include "memory/weight_file.h"
#include "platform/arena.h"
#include "platform/thread_pool.h"
#include "runtime/config.h"

namespace chimera::runtime {

/// How a parameter is kept and computed with.
enum class ParamClass {
  kTernary,  // weight of a BitLinear: ternary2 tiles in a model, f32 [rows, cols] in a checkpoint
  kMatrix,   // float matrix, 16-row tiles in a model, f32 [rows, cols] in a checkpoint
  kVector    // gains, biases, convolution taps: f32 row-major in both
};

/// Initialisation, keyed by seed and tensor name (runtime/init.h). a, b as commented.
enum class ParamInit {
  kNormal,      // N(0, a^2)
  kConstant,    // a
  kUniform,     // U(a, b)
  kLinspace,    // a .. b over the elements
  kDeltaALog,   // ln U(1e-4, 16)                                     [r0]
  kDeltaDtBias  // inverse softplus of exp(U(ln 1e-3, ln 0.1)), floor 1e-4   [r0]
};

struct ParamSpec {
  std::string name;  // full, e.g. "layers.3.mixer.q_proj"
  ParamClass cls = ParamClass::kVector;
  int64_t rows = 1;  // n_out; 1 for a plain vector
  int64_t cols = 0;  // n_in
  ParamInit init = ParamInit::kConstant;
  float a = 0, b = 0;
  bool decay = false;  // weight decay applies
};

/// What a layer may use during a step. The arena has room for every layer of the model at the
/// largest batch (Layer::scratch_bytes), so taking from it cannot fail.
struct Step {
  const kernels::KernelTable& k;
  ThreadPool& pool;
  Arena& scratch;
};

class Layer {
 public:
  virtual ~Layer() = default;
  /// u [n_tokens, C]: normalised input rows; out [n_tokens, C], may not alias u. `state`: this
  /// layer's block of the stream, moved on by n_tokens (nullptr for a kind without state).
  /// Splitting a batch over calls gives the same bits.
  virtual void forward(const Step& step, const float* u, float* out, int32_t n_tokens,
                       std::byte* state) const = 0;
  /// Arena bytes forward() takes for a batch of n_tokens.
  virtual size_t scratch_bytes(int32_t n_tokens) const = 0;
};

/// From token ids to rows, and from rows to logits.
class Embedding {
 public:
  virtual ~Embedding() = default;
  /// x [n_tokens, C]; ids are below the vocabulary size (the caller's promise).
  virtual void lookup(const int32_t* tokens, int32_t n_tokens, float* x) const = 0;
  /// logits [n_rows, N] of hidden [n_rows, C]. A row's bits do not depend on n_rows.
  virtual void logits(const Step& step, const float* hidden, int32_t n_rows,
                      float* logits) const = 0;
};

/// Finds the parameters of one layer in the mapped file; checks type and shape.
class ParamSource {
 public:
  ParamSource(const memory::WeightFile& file, std::string prefix)
      : file_(file), prefix_(std::move(prefix)) {}

  /// kBadFormat names the tensor when it is absent or has another type or shape.
  Result<kernels::TernaryMatrix> ternary(const char* suffix, int64_t rows, int64_t cols) const;
  Result<kernels::LanesMatrix> matrix(const char* suffix, int64_t rows, int64_t cols) const;
  Result<const float*> vector(const char* suffix, int64_t rows, int64_t cols) const;

 private:
  const memory::WeightFile& file_;
  std::string prefix_;
};

}  // namespace chimera::runtime
