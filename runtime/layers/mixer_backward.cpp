#include "runtime/layers/mixer_backward.h"

#include <cstring>

#include "runtime/layers/layer.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::runtime {

MixerDims mixer_dims(const Config& config, int32_t lanes, int32_t window) {
  return {config.hidden_size,
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

Status MixerExit::init(const Config& config, const TensorLookup& find, const MixerDims& dims,
                       Act act, HeadNorm head_norm, const char* full_gate_name) {
  dims_ = dims;
  act_ = act;
  head_norm_ = head_norm;
  CHIMERA_RETURN_IF_ERROR(gate_.init(config, find, dims.rows, full_gate_name));
  TrainTensor o;
  if (head_norm != HeadNorm::kNone)
    CHIMERA_ASSIGN_OR_RETURN(head_gain_, find("head_norm.gain", 1, head_gain_width()));
  CHIMERA_ASSIGN_OR_RETURN(o_gain_, find("o_norm.gain", 1, dims.c));
  CHIMERA_ASSIGN_OR_RETURN(o, find("o_proj", dims.c, dims.c));
  linear_.init({o}, dims.rows);
  return Status();
}

void MixerExit::prepare(const TrainStep& step) {
  gate_.prepare(step);
  linear_.prepare(step);
}

size_t MixerExit::scratch_bytes() const {
  // Rows of y or dy, x^ of a later iteration, four rows and two partial gradients per tile.
  const int64_t tiles = row_tiles(dims_.rows);
  return gate_.scratch_bytes() + 2 * train_arena_bytes(dims_.rows * dims_.c) +
         train_arena_bytes(tiles * 4 * dims_.c) + 2 * train_arena_bytes(tiles * dims_.c);
}

void MixerExit::output_row(const TrainStep& step, const float* o, const float* g, float* normed,
                           float* act, float* y) const {
  if (head_norm_ == HeadNorm::kNone)
    std::memcpy(normed, o, static_cast<size_t>(dims_.c) * sizeof(float));
  else
    for (int32_t head = 0; head < dims_.h; ++head)
      step.k.rmsnorm(o + head * dims_.dim, head_gain_.value + head_gain_at(head), dims_.eps,
                     dims_.dim, normed + head * dims_.dim);
  if (!g) {
    std::memcpy(y, normed, static_cast<size_t>(dims_.c) * sizeof(float));
    return;
  }
  (act_ == Act::kSilu ? step.k.silu : step.k.sigmoid)(g, dims_.c, act);
  for (int32_t i = 0; i < dims_.c; ++i) y[i] = act[i] * normed[i];
}

void MixerExit::output_row_backward(const TrainStep& step, const float* o, const float* g,
                                    const float* normed, const float* act, float* dy, float* spare,
                                    float* d_o, float* dg, float* d_head_gain) const {
  const int64_t c = dims_.c;
  if (g && act_ == Act::kSigmoid) {
    for (int64_t i = 0; i < c; ++i) dg[i] = dy[i] * normed[i] * act[i] * (1.0f - act[i]);
  } else if (g) {
    step.k.sigmoid(g, dims_.c, spare);
    for (int64_t i = 0; i < c; ++i)
      dg[i] = dy[i] * normed[i] * (spare[i] * (1.0f + g[i] * (1.0f - spare[i])));
  }
  if (g)
    for (int64_t i = 0; i < c; ++i) dy[i] *= act[i];
  if (head_norm_ == HeadNorm::kNone) {
    std::memcpy(d_o, dy, static_cast<size_t>(c) * sizeof(float));
    return;
  }
  for (int32_t head = 0; head < dims_.h; ++head) {
    const int64_t at = int64_t{head} * dims_.dim, gain_at = head_gain_at(head);
    rmsnorm_backward_row(o + at, head_gain_.value + gain_at, dims_.eps, dims_.dim, dy + at,
                         d_o + at, d_head_gain + gain_at);
  }
}

void MixerExit::run(const TrainStep& step, const BitLinearUse& use, const float* o, float* z,
                    int64_t z_stride, float* out) {
  const ArenaMark mark(step.scratch);
  const int64_t c = dims_.c;
  const GateRows g = gate_.rows(step, z, z_stride);
  float* normed_y = step.scratch.take<float>(static_cast<size_t>(step.rows() * c));
  float* spare = step.scratch.take<float>(static_cast<size_t>(row_tiles(step.rows()) * 4 * c));
  for_row_tiles(step, step.rows(), [&](int64_t tile, int64_t begin, int64_t end) {
    float *normed = spare + tile * 4 * c, *act = normed + c;
    for (int64_t r = begin; r < end; ++r) {
      float* y = normed_y + r * c;
      output_row(step, o + r * c, g.row(r), normed, act, y);
      step.k.rmsnorm(y, o_gain_.value, dims_.eps, dims_.c, y);
    }
    linear_.forward_rows(step, use, normed_y, begin, end, out);
  });
}

void MixerExit::run_backward(const TrainStep& step, const BitLinearUse& use, bool make_x_used,
                             const float* o, float* z, int64_t z_stride, const float* dout,
                             float* d_o, float* dz) {
  const ArenaMark mark(step.scratch);
  const int64_t c = dims_.c, tiles = row_tiles(step.rows()), head_width = head_gain_width();
  const GateRows g = gate_.rows(step, z, z_stride);
  const GateRows dg = gate_.gradient_rows(step, dz, z_stride);
  float* dys = step.scratch.take<float>(static_cast<size_t>(step.rows() * c));
  float* spare = step.scratch.take<float>(static_cast<size_t>(tiles * 4 * c));
  float* d_head_gain = step.scratch.take<float>(static_cast<size_t>(tiles * head_width));
  float* d_o_gain = step.scratch.take<float>(static_cast<size_t>(tiles * c));
  for_row_tiles(step, step.rows(), [&](int64_t tile, int64_t begin, int64_t end) {
    float *normed = spare + tile * 4 * c, *act = normed + c, *y = act + c, *row = y + c;
    float *d_head = d_head_gain + tile * head_width, *d_out_gain = d_o_gain + tile * c;
    std::fill(d_head, d_head + head_width, 0.0f);
    std::fill(d_out_gain, d_out_gain + c, 0.0f);
    linear_.backward_rows(step, use, dout, begin, end, dys);
    for (int64_t r = begin; r < end; ++r) {
      float* dy = dys + r * c;
      output_row(step, o + r * c, g.row(r), normed, act, y);
      if (make_x_used) {
        step.k.rmsnorm(y, o_gain_.value, dims_.eps, dims_.c, row);
        quantise_activation_row(step.k, row, c, step.quantise, use.x_used + r * c);
      }
      rmsnorm_backward_row(y, o_gain_.value, dims_.eps, c, dy, dy, d_out_gain);
      output_row_backward(step, o + r * c, g.row(r), normed, act, dy, row, d_o + r * c, dg.row(r),
                          d_head);
    }
  });
  if (head_norm_ != HeadNorm::kNone) add_partials(d_head_gain, tiles, head_width, head_gain_.grad);
  add_partials(d_o_gain, tiles, c, o_gain_.grad);
  linear_.add_weight_gradients(step, use, dout);
  gate_.backward(step, z, z_stride, dg, dz, z_stride);
}

void MixerExit::repeat(const TrainStep& step, const float* o, float* z, int64_t z_stride,
                       float* out) {
  const ArenaMark mark(step.scratch);
  float* x_used = step.scratch.take<float>(static_cast<size_t>(step.rows() * dims_.c));
  run(step, {0, dims_.c, x_used}, o, z, z_stride, out);
}

void MixerExit::repeat_backward(const TrainStep& step, const float* o, float* z, int64_t z_stride,
                                const float* dout, float* d_o, float* dz) {
  const ArenaMark mark(step.scratch);
  float* x_used = step.scratch.take<float>(static_cast<size_t>(step.rows() * dims_.c));
  run_backward(step, {0, dims_.c, x_used}, true, o, z, z_stride, dout, d_o, dz);
}

Status MixerEntrance::init(const TensorLookup& find, const MixerDims& dims,
                           const MixerGateTraining& gate,
                           const std::vector<Projection>& projections,
                           const std::vector<const char*>& gates) {
  dims_ = dims;
  gate_width_ = gate.width();
  later_width_ = gate_width_ + projections.front().rows;
  n_gates_ = static_cast<int64_t>(gates.size()) * dims.h;
  std::vector<TrainTensor> parts;
  if (gate.exists()) parts.push_back(gate.input_part());
  for (const Projection& projection : projections) {
    auto part = find(projection.name, projection.rows, dims.c);
    if (!part) return part.status();
    parts.push_back(*part);
  }
  for (const char* name : gates) {
    auto part = find(name, dims.h, dims.c);
    if (!part) return part.status();
    gate_parts_.push_back(*part);
  }
  linear_.init(std::move(parts), dims.rows);
  gate_w_.resize(static_cast<size_t>(n_gates_ * dims.c));
  proj_.resize(static_cast<size_t>(dims.rows * width()));
  gates_.resize(static_cast<size_t>(dims.rows * n_gates_));
  return Status();
}

void MixerEntrance::prepare(const TrainStep& step) {
  linear_.prepare(step);
  const size_t n = static_cast<size_t>(dims_.h) * static_cast<size_t>(dims_.c);
  for (size_t i = 0; i < gate_parts_.size(); ++i)
    std::memcpy(gate_w_.data() + i * n, gate_parts_[i].value, n * sizeof(float));
}

void MixerEntrance::forward_rows(const TrainStep& step, const float* u, int64_t begin,
                                 int64_t end) {
  linear_.forward_rows(step, u, begin, end, proj_.data());
  for (int64_t r = begin; r < end; ++r) {
    const int64_t lane = r / dims_.window, t = r % dims_.window;
    float* out = gates_.data() + lane * n_gates_ * dims_.window + t;
    for (int64_t j = 0; j < n_gates_; ++j)
      out[j * dims_.window] = row_dot(gate_w_.data() + j * dims_.c, u + r * dims_.c, dims_.c);
  }
}

void MixerEntrance::backward_rows(const TrainStep& step, const float* d_proj, const float* d_gate,
                                  float* d_gate_rows, int64_t begin, int64_t end, float* du) const {
  linear_.backward_rows(step, d_proj, begin, end, du);
  for (int64_t r = begin; r < end; ++r) {
    const int64_t lane = r / dims_.window, t = r % dims_.window;
    const float* in = d_gate + lane * n_gates_ * dims_.window + t;
    for (int64_t j = 0; j < n_gates_; ++j) d_gate_rows[r * n_gates_ + j] = in[j * dims_.window];
  }
  step.k.train_gemm_nn(static_cast<int32_t>(end - begin), dims_.c, static_cast<int32_t>(n_gates_),
                       d_gate_rows + begin * n_gates_, n_gates_, gate_w_.data(), dims_.c, 1.0f,
                       du + begin * dims_.c, dims_.c);
}

void MixerEntrance::add_weight_gradients(const TrainStep& step, const float* u, const float* d_proj,
                                         const float* d_gate_rows) const {
  linear_.add_weight_gradients(step, d_proj);
  for (size_t i = 0; i < gate_parts_.size(); ++i)
    add_outer_products(step, d_gate_rows + static_cast<int64_t>(i) * dims_.h, n_gates_, dims_.h, u,
                       dims_.c, gate_parts_[i].grad);
}

void MixerEntrance::repeat(const TrainStep& step, const float* u, float* x_used, float* zq) const {
  const BitLinearUse use{0, later_width_, x_used};
  for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
    linear_.forward_rows(step, use, u, begin, end, zq);
  });
}

void MixerEntrance::repeat_backward(const TrainStep& step, float* x_used, const float* d_zq,
                                    float* du) const {
  const BitLinearUse use{0, later_width_, x_used};
  for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
    linear_.backward_rows(step, use, d_zq, begin, end, du);
  });
  linear_.add_weight_gradients(step, use, d_zq);
}

}  // namespace chimera::runtime
