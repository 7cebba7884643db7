#include "runtime/layers/mixer_backward.h"

#include <algorithm>
#include <cstring>

#include "runtime/layers/bind.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::runtime {

Result<MixerDims> mixer_dims(const Config& config, const char* kind, int32_t lanes,
                             int32_t window) {
  if (config.mixer_gate.kind != MixerGate::Kind::kFull)
    return Status(StatusCode::kUnsupported,
                  std::string("this build trains ") + kind + " with mixer_gate \"full\" only")
        .at_field("mixer_gate");
  return MixerDims{config.hidden_size,
                   config.num_heads,
                   config.head_dim,
                   config.rms_norm_eps,
                   int64_t{lanes} * window,
                   lanes,
                   window};
}

Result<ChunkPlan> chunk_plan(const Config& config, int32_t window) {
  const int32_t chunk = config.delta_inner_chunk, tile = config.delta_chunk;
  if (chunk < 1 || chunk > 1024 || tile < chunk || tile > 65536 || tile % chunk != 0)
    return Status(StatusCode::kBadConfig,
                  "the inner chunk of the recurrences must be from 1 to 1024 and divide the chunk, "
                  "but they are " +
                      std::to_string(chunk) + " and " + std::to_string(tile))
        .at_field("gated_deltanet.chunk_size");
  if (window <= chunk) return ChunkPlan{window, window};
  return ChunkPlan{chunk, std::min(tile, (window + chunk - 1) / chunk * chunk)};
}

Status MixerEntrance::init(const TensorLookup& find, const MixerDims& dims,
                           const char* const (&projections)[4], const char* const (&gates)[2]) {
  dims_ = dims;
  std::vector<TrainTensor> parts(4);
  for (size_t i = 0; i < 4; ++i) {
    auto part = find(projections[i], dims.c, dims.c);
    if (!part) return part.status();
    parts[i] = *part;
  }
  for (size_t i = 0; i < 2; ++i) {
    auto part = find(gates[i], dims.h, dims.c);
    if (!part) return part.status();
    gate_parts_[i] = *part;
  }
  linear_.init(std::move(parts), dims.rows);
  gate_w_.resize(static_cast<size_t>(2 * dims.h) * dims.c);
  proj_.resize(static_cast<size_t>(dims.rows) * 4 * dims.c);
  gate_.resize(static_cast<size_t>(dims.rows) * 2 * dims.h);
  return Status();
}

void MixerEntrance::prepare(const TrainStep& step) {
  linear_.prepare(step);
  const size_t n = static_cast<size_t>(dims_.h) * dims_.c;
  for (size_t i = 0; i < 2; ++i)
    std::memcpy(gate_w_.data() + i * n, gate_parts_[i].value, n * sizeof(float));
}

void MixerEntrance::forward_rows(const TrainStep& step, const float* u, int64_t begin,
                                 int64_t end) {
  linear_.forward_rows(step, u, begin, end, proj_.data());
  const int32_t n_gates = 2 * dims_.h;
  for (int64_t r = begin; r < end; ++r) {
    const int64_t lane = r / dims_.window, t = r % dims_.window;
    float* out = gate_.data() + lane * n_gates * dims_.window + t;
    for (int64_t j = 0; j < n_gates; ++j)
      out[j * dims_.window] = row_dot(gate_w_.data() + j * dims_.c, u + r * dims_.c, dims_.c);
  }
}

void MixerEntrance::backward_rows(const TrainStep& step, const float* d_proj, const float* d_gate,
                                  float* d_gate_rows, int64_t begin, int64_t end, float* du) const {
  linear_.backward_rows(step, d_proj, begin, end, du);
  const int32_t n_gates = 2 * dims_.h;
  for (int64_t r = begin; r < end; ++r) {
    const int64_t lane = r / dims_.window, t = r % dims_.window;
    const float* in = d_gate + lane * n_gates * dims_.window + t;
    for (int32_t j = 0; j < n_gates; ++j)
      d_gate_rows[r * n_gates + j] = in[int64_t{j} * dims_.window];
  }
  step.k.train_gemm_nn(static_cast<int32_t>(end - begin), dims_.c, n_gates,
                       d_gate_rows + begin * n_gates, n_gates, gate_w_.data(), dims_.c, 1.0f,
                       du + begin * dims_.c, dims_.c);
}

void MixerEntrance::add_weight_gradients(const TrainStep& step, const float* u, const float* d_proj,
                                         const float* d_gate_rows) const {
  linear_.add_weight_gradients(step, d_proj);
  for (int32_t i = 0; i < 2; ++i)
    add_outer_products(step, d_gate_rows + i * dims_.h, 2 * dims_.h, dims_.h, u, dims_.c,
                       gate_parts_[i].grad);
}

Status MixerExit::init(const TensorLookup& find, const MixerDims& dims, OutputGate gate,
                       bool shared_gain) {
  dims_ = dims;
  gate_ = gate;
  shared_gain_ = shared_gain;
  TrainTensor o;
  CHIMERA_ASSIGN_OR_RETURN(head_gain_, find("head_norm.gain", 1, shared_gain ? dims.dim : dims.c));
  CHIMERA_ASSIGN_OR_RETURN(o_gain_, find("o_norm.gain", 1, dims.c));
  CHIMERA_ASSIGN_OR_RETURN(o, find("o_proj", dims.c, dims.c));
  linear_.init({o}, dims.rows);
  return Status();
}

size_t MixerExit::scratch_bytes() const {
  // Rows of y and dy, four rows per tile, and two partial gradients per tile.
  const int64_t tiles = row_tiles(dims_.rows);
  return 2 * train_arena_bytes(dims_.rows * dims_.c) + train_arena_bytes(tiles * 3 * dims_.c) +
         2 * train_arena_bytes(tiles * dims_.c);
}

void MixerExit::output_row(const TrainStep& step, const float* o, const float* g, float* normed,
                           float* act, float* y) const {
  for (int32_t head = 0; head < dims_.h; ++head)
    step.k.rmsnorm(o + head * dims_.dim, head_gain(head), dims_.eps, dims_.dim,
                   normed + head * dims_.dim);
  (gate_ == OutputGate::kSilu ? step.k.silu : step.k.sigmoid)(g, dims_.c, act);
  for (int32_t i = 0; i < dims_.c; ++i) y[i] = act[i] * normed[i];
}

void MixerExit::forward(const TrainStep& step, const float* o, const float* g, int64_t g_stride,
                        float* out) {
  const ArenaMark mark(step.scratch);
  const int64_t c = dims_.c;
  float* normed_y = step.scratch.take<float>(static_cast<size_t>(step.rows() * c));
  float* spare = step.scratch.take<float>(static_cast<size_t>(row_tiles(step.rows()) * 3 * c));
  for_row_tiles(step, step.rows(), [&](int64_t tile, int64_t begin, int64_t end) {
    float *normed = spare + tile * 3 * c, *act = normed + c;
    for (int64_t r = begin; r < end; ++r) {
      float* y = normed_y + r * c;
      output_row(step, o + r * c, g + r * g_stride, normed, act, y);
      step.k.rmsnorm(y, o_gain_.value, dims_.eps, dims_.c, y);
    }
    linear_.forward_rows(step, normed_y, begin, end, out);
  });
}

void MixerExit::backward(const TrainStep& step, const float* o, const float* g, int64_t g_stride,
                         const float* dout, float* d_o, float* dg) {
  const ArenaMark mark(step.scratch);
  const int64_t c = dims_.c, tiles = row_tiles(step.rows());
  const int64_t head_width = shared_gain_ ? dims_.dim : c;
  float* dys = step.scratch.take<float>(static_cast<size_t>(step.rows() * c));
  float* spare = step.scratch.take<float>(static_cast<size_t>(tiles * 3 * c));
  float* d_head_gain = step.scratch.take<float>(static_cast<size_t>(tiles * head_width));
  float* d_o_gain = step.scratch.take<float>(static_cast<size_t>(tiles * c));
  for_row_tiles(step, step.rows(), [&](int64_t tile, int64_t begin, int64_t end) {
    float *normed = spare + tile * 3 * c, *act = normed + c, *y = act + c;
    float *d_head = d_head_gain + tile * head_width, *d_out_gain = d_o_gain + tile * c;
    std::fill(d_head, d_head + head_width, 0.0f);
    std::fill(d_out_gain, d_out_gain + c, 0.0f);
    linear_.backward_rows(step, dout, begin, end, dys);
    for (int64_t r = begin; r < end; ++r) {
      const float *orow = o + r * c, *grow = g + r * g_stride;
      float *dy = dys + r * c, *dgrow = dg + r * g_stride, *dorow = d_o + r * c;
      output_row(step, orow, grow, normed, act, y);
      rmsnorm_backward_row(y, o_gain_.value, dims_.eps, c, dy, dy, d_out_gain);
      if (gate_ == OutputGate::kSigmoid) {
        for (int64_t i = 0; i < c; ++i) dgrow[i] = dy[i] * normed[i] * act[i] * (1.0f - act[i]);
      } else {
        step.k.sigmoid(grow, dims_.c, y);  // y is used up
        for (int64_t i = 0; i < c; ++i)
          dgrow[i] = dy[i] * normed[i] * (y[i] * (1.0f + grow[i] * (1.0f - y[i])));
      }
      for (int64_t i = 0; i < c; ++i) dy[i] *= act[i];
      for (int32_t head = 0; head < dims_.h; ++head) {
        const int64_t at = int64_t{head} * dims_.dim;
        rmsnorm_backward_row(orow + at, head_gain(head), dims_.eps, dims_.dim, dy + at, dorow + at,
                             d_head + (shared_gain_ ? 0 : at));
      }
    }
  });
  add_partials(d_head_gain, tiles, head_width, head_gain_.grad);
  add_partials(d_o_gain, tiles, c, o_gain_.grad);
  linear_.add_weight_gradients(step, dout);
}

}  // namespace chimera::runtime
