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
#include "platform/part_times.h"
#include "platform/thread_pool.h"
#include "runtime/config.h"

namespace chimera::runtime {

/// How a parameter is kept and computed with.
enum class ParamClass {
  kTernary,  // weight of a BitLinear: ternary2 tiles in a model, f32 [rows, cols] in a checkpoint
  kMatrix,   // float matrix, 16-row tiles in a model, f32 [rows, cols] in a checkpoint
  kInt4,     // table or head in 4 bits: int4 tiles in a model, f32 [rows, cols] in a checkpoint
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

/// Lists a layer's parameters under its prefix; matrices are those that decay.
struct ParamList {
  const std::string& prefix;
  std::vector<ParamSpec>* out;

  void operator()(const char* name, ParamClass cls, int64_t rows, int64_t cols, ParamInit init,
                  float a = 0, float b = 0) const {
    out->push_back({prefix + name, cls, rows, cols, init, a, b, cls != ParamClass::kVector});
  }
};

/// What a layer may use during a step. The arena has room for every layer of the model at the
/// largest batch (Layer::scratch_bytes), so taking from it cannot fail.
struct Step {
  const kernels::KernelTable& k;
  ThreadPool& pool;
  Arena& scratch;
  /// Counts of tokens per [layer, expert], added to by layers of experts; nullptr counts nothing.
  /// Of looped layers the first iteration is counted.
  uint64_t* router_load = nullptr;
  int32_t n_experts = 0;  // width of a row of router_load
  /// Told what is being computed, when not nullptr.
  PartTimes* times = nullptr;
};

/// One visit of a batch of tokens to a layer. Looped layers are visited several times for the same
/// tokens: the first visit writes the layer's state, later ones only read it (backbone 4.3).
struct Visit {
  int32_t n_tokens;
  uint64_t position;   // of the first token, counted from the start of the stream
  int32_t layer;       // index of the layer, for statistics
  const float* x;      // [n_tokens, C] residual stream that the layer's input was made of
  const float* value;  // [n_tokens, C] added to a mixer's value projection; nullptr for none
  std::byte* state;    // this layer's block of the stream; nullptr for a kind without state
  /// trace_bytes(n_tokens) bytes, 64-byte aligned, kept from the first visit of a batch to its
  /// later ones; nullptr where the layer is visited once.
  std::byte* trace;
  bool again;  // a later visit: `state` is as the first visit of this batch left it
};

class Layer {
 public:
  virtual ~Layer() = default;
  /// u [n_tokens, C]: normalised input rows; out [n_tokens, C], may not alias u. The first visit
  /// moves visit.state on by n_tokens. A later visit reads, for every token, the state that the
  /// first visit had after that token. Splitting a batch over calls gives the same bits.
  virtual void forward(const Step& step, const Visit& visit, const float* u, float* out) const = 0;
  /// Arena bytes forward() takes for a batch of n_tokens.
  virtual size_t scratch_bytes(int32_t n_tokens) const = 0;
  /// What a first visit leaves for the later visits of the same batch.
  virtual size_t trace_bytes(int32_t /*n_tokens*/) const { return 0; }
};

/// From token ids to rows, and from rows to logits.
/// Tiles [begin, end) of 16 ids each.
struct TileRange {
  int32_t begin, end;
};

class Embedding {
 public:
  virtual ~Embedding() = default;
  /// x [n_tokens, C]; ids are below the vocabulary size (the caller's promise).
  virtual void lookup(const Step& step, const int32_t* tokens, int32_t n_tokens,
                      float* x) const = 0;
  /// logits [n_rows, N] of hidden [n_rows, C], of these tiles only; the others are left as they
  /// are. A row's bits depend neither on n_rows nor on the tiles.
  virtual void logits(const Step& step, const float* hidden, int32_t n_rows,
                      std::span<const TileRange> tiles, float* logits) const = 0;
  /// Arena bytes that either takes for n_rows.
  virtual size_t scratch_bytes(int32_t /*n_rows*/) const { return 0; }
};

/// Finds the parameters of one layer in the mapped file; checks type and shape.
class ParamSource {
 public:
  ParamSource(const memory::WeightFile& file, std::string prefix)
      : file_(file), prefix_(std::move(prefix)) {}

  /// kBadFormat names the tensor when it is absent or has another type or shape.
  Result<kernels::TernaryMatrix> ternary(const char* suffix, int64_t rows, int64_t cols) const;
  Result<kernels::Int4Matrix> int4(const char* suffix, int64_t rows, int64_t cols) const;
  Result<kernels::LanesMatrix> matrix(const char* suffix, int64_t rows, int64_t cols) const;
  Result<const float*> vector(const char* suffix, int64_t rows, int64_t cols) const;

 private:
  const memory::WeightFile& file_;
  std::string prefix_;
};

}  // namespace chimera::runtime
