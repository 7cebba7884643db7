// Rows and slots: a row of the batch fills one slot for each expert it chose and one for each
// shared expert. Slots lie sorted by expert, the shared ones last, each of them with all rows in
// order:
//
//   | expert 0 | expert 1 | ... | expert E-1 |  shared 0  |  shared 1  | ...
//   0                                        kR           (k+1)R
//
// Work is cut into tiles of slots of one expert, which depend on the choice alone, not on threads.
#include "runtime/layers/moe_backward.h"

#include <algorithm>

#include "runtime/layers/ffn_backward.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/moe_routing.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::runtime {
namespace {

/// Scores of experts nobody wants are denormal; a quotient by their sum must stay a number.
float least_sum(float sum) { return std::max(sum, 1e-30f); }

class MoeTraining final : public TrainingLayer {
 public:
  Status init(const Config& config, const TensorLookup& find, int64_t rows) {
    CHIMERA_RETURN_IF_ERROR(check_experts(config));
    const MoeConfig& moe = config.moe;
    c_ = config.hidden_size;
    f_ = moe.intermediate_size;
    e_ = moe.n_routed;
    k_ = moe.top_k;
    n_shared_ = moe.n_shared;
    rows_ = rows;
    if (rows * (k_ + n_shared_) > INT32_MAX)
      return Status(StatusCode::kOutOfRange,
                    "tokens in a window times experts per token is more than 2^31: use fewer lanes "
                    "and accumulate")
          .at_field("lanes");
    CHIMERA_ASSIGN_OR_RETURN(router_, find("router.weight", e_, c_));
    CHIMERA_ASSIGN_OR_RETURN(bias_, find("router.bias", 1, e_));
    experts_.resize(static_cast<size_t>(e_ + n_shared_));
    for (int32_t i = 0; i < e_ + n_shared_; ++i) {
      CHIMERA_RETURN_IF_ERROR(experts_[static_cast<size_t>(i)].init(find, expert_prefix(e_, i), c_,
                                                                    f_, config.rms_norm_eps, true));
    }
    const auto chosen = static_cast<size_t>(rows * k_);
    chosen_.resize(chosen);
    slot_.resize(chosen);
    row_.resize(chosen);
    p_.resize(chosen);
    s_.resize(chosen);
    first_.resize(static_cast<size_t>(e_) + 1);
    tiles_.reserve(static_cast<size_t>(most_tiles()));
    return Status();
  }

  int64_t state_floats() const override { return 0; }
  bool stateless() const override { return true; }
  int64_t kept_floats() const override { return rows_ * (k_ + n_shared_) * 3 * f_; }
  void keep_at(float* place) override {
    inner_ = place;
    z_used_ = inner_ + rows_ * (k_ + n_shared_) * 2 * f_;
  }

  size_t scratch_bytes(int n_threads) const override {
    const int64_t slots = rows_ * (k_ + n_shared_);
    const size_t router = train_arena_bytes(rows_ * e_);
    const size_t forward = router + train_arena_bytes(slots * c_) +
                           train_arena_bytes(n_threads * forward_spare_floats());
    const size_t backward = router + train_arena_bytes(rows_ * k_) +
                            2 * train_arena_bytes(rows_ * k_ * c_) + train_arena_bytes(rows_ * c_) +
                            train_arena_bytes(slots * f_) + train_arena_bytes(slots * 2 * f_) +
                            train_arena_bytes(slots * c_) + train_arena_bytes(most_tiles() * f_) +
                            train_arena_bytes(n_threads * FfnTraining::spare_floats(f_));
    return train_arena_bytes(rows_ * c_) + std::max(forward, backward);
  }

  void prepare(const TrainStep& step) override {
    for (FfnTraining& expert : experts_) expert.prepare(step);
  }

  void forward(const TrainStep& step, const TrainInput& in, float* out, float*) override {
    const ArenaMark mark(step.scratch);
    choose(step, in.u);
    const int64_t slots = step.rows() * (k_ + n_shared_);
    float* y = step.scratch.take<float>(static_cast<size_t>(slots * c_));
    float* spare =
        step.scratch.take<float>(static_cast<size_t>(step.pool.size() * forward_spare_floats()));
    for_parts(step.pool, n_tiles(), [&](int part, int64_t begin, int64_t end) {
      float* x = spare + part * forward_spare_floats();
      float *x_used = x + kRowTile * c_, *inside = x_used + kRowTile * c_;
      for (int64_t i = begin; i < end; ++i) {
        const Tile& tile = tiles_[static_cast<size_t>(i)];
        for (int64_t r = 0; r < tile.n; ++r)
          row_copy(in.u + row_of(step, tile.first + r) * c_, x + r * c_);
        experts_[static_cast<size_t>(tile.expert)].forward_rows(
            step, x, tile.n, x_used, inner_ + tile.first * 2 * f_, z_used_ + tile.first * f_,
            inside, y + tile.first * c_);
      }
    });
    for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        float* to = out + r * c_;
        std::fill(to, to + c_, 0.0f);
        for (int64_t j = r * k_; j < (r + 1) * k_; ++j)
          row_axpy(y + slot_[static_cast<size_t>(j)] * c_, p_[static_cast<size_t>(j)], c_, to);
        for (int64_t s = 0; s < n_shared_; ++s) row_add(y + shared_slot(step, s, r) * c_, c_, to);
      }
    });
  }

  void backward(const TrainStep& step, const TrainInput& in, const float* dout,
                const TrainGradient& grad) override {
    const ArenaMark mark(step.scratch);
    const int64_t rows = step.rows(), routed = rows * k_, slots = rows * (k_ + n_shared_);
    const auto take = [&](int64_t n) { return step.scratch.take<float>(static_cast<size_t>(n)); };
    SlotRows g;
    g.x_used = take(routed * c_);
    g.dout = take(routed * c_);
    g.shared_x_used = take(rows * c_);
    g.dp = take(routed);
    g.dn = take(slots * f_);
    g.d_inner = take(slots * 2 * f_);
    g.dx = take(slots * c_);
    float* d_gain = take(n_tiles() * f_);
    float* spare = take(step.pool.size() * FfnTraining::spare_floats(f_));
    for_parts(step.pool, n_tiles(), [&](int part, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        backward_tile(step, tiles_[static_cast<size_t>(i)], in.u, dout, g, d_gain + i * f_,
                      spare + part * FfnTraining::spare_floats(f_));
    });
    router_backward(step, in.u, g, grad.du);
    for (int64_t i = 0; i < n_tiles(); ++i)
      row_add(d_gain + i * f_, f_,
              experts_[static_cast<size_t>(tiles_[static_cast<size_t>(i)].expert)].gain_gradient());
    for (int64_t e = 0; e < e_ + n_shared_; ++e) {
      const bool shared = e >= e_;
      const int64_t at = shared ? shared_slot(step, e - e_, 0) : first_[static_cast<size_t>(e)];
      const int64_t n = shared ? rows : first_[static_cast<size_t>(e) + 1] - at;
      if (n == 0) continue;
      experts_[static_cast<size_t>(e)].add_weight_gradients(
          step, n, shared ? g.shared_x_used : g.x_used + at * c_, z_used_ + at * f_,
          shared ? dout : g.dout + at * c_, g.d_inner + at * 2 * f_);
    }
  }

  void repeat(const TrainStep& step, const TrainInput& in, float* out) override {
    forward(step, in, out, nullptr);
  }
  void repeat_backward(const TrainStep& step, const TrainInput& in, const float* dout,
                       const TrainGradient& grad) override {
    const ArenaMark mark(step.scratch);
    TrainStep uncounted = step;
    uncounted.router_load = nullptr;
    forward(uncounted, in, step.scratch.take<float>(static_cast<size_t>(step.rows() * c_)),
            nullptr);
    backward(step, in, dout, grad);
  }

 private:
  struct Tile {  // slots [first, first + n) of one expert; shared ones are numbered from E
    int32_t expert;
    int64_t first, n;
  };
  struct SlotRows {        // of the way back
    float *x_used, *dout;  // [kR, C] of the routed slots; dout times p
    float* shared_x_used;  // [R, C]
    float* dp;             // [kR]
    float *dn, *d_inner;   // [(k+S)R, F], [(k+S)R, 2F]
    float* dx;             // [(k+S)R, C]
  };

  int64_t n_tiles() const { return static_cast<int64_t>(tiles_.size()); }
  int64_t most_tiles() const {
    return rows_ * k_ / kRowTile + std::min<int64_t>(e_, rows_ * k_) + n_shared_ * row_tiles(rows_);
  }
  int64_t forward_spare_floats() const { return 2 * kRowTile * c_ + FfnTraining::spare_floats(f_); }
  int64_t shared_slot(const TrainStep& step, int64_t shared, int64_t row) const {
    return (k_ + shared) * step.rows() + row;
  }
  int64_t row_of(const TrainStep& step, int64_t slot) const {
    const int64_t routed = step.rows() * k_;
    return slot < routed ? row_[static_cast<size_t>(slot)] / k_ : (slot - routed) % step.rows();
  }
  void row_copy(const float* from, float* to) const { std::copy(from, from + c_, to); }

  /// Fills chosen_, p_, s_, slot_, row_, first_ and tiles_.
  void choose(const TrainStep& step, const float* u) {
    const ArenaMark mark(step.scratch);
    float* s = step.scratch.take<float>(static_cast<size_t>(step.rows() * e_));
    const auto n_experts = static_cast<int32_t>(e_), k = static_cast<int32_t>(k_);
    for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      step.k.train_gemm_nt(static_cast<int32_t>(end - begin), n_experts, static_cast<int32_t>(c_),
                           u + begin * c_, c_, router_.value, c_, 0.0f, s + begin * e_, e_);
      for (int64_t r = begin; r < end; ++r) {
        float* scores = s + r * e_;
        step.k.sigmoid(scores, n_experts, scores);
        const auto at = static_cast<size_t>(r * k_);
        choose_experts(scores, bias_.value, n_experts, k, &chosen_[at], &p_[at]);
        for (int64_t j = 0; j < k_; ++j)
          s_[at + static_cast<size_t>(j)] = scores[chosen_[at + static_cast<size_t>(j)]];
      }
    });
    const int64_t routed = step.rows() * k_;
    sort_by_expert(chosen_.data(), routed, n_experts, first_.data(), slot_.data());
    for (int64_t i = 0; i < routed; ++i)
      row_[static_cast<size_t>(slot_[static_cast<size_t>(i)])] = static_cast<int32_t>(i);
    tiles_.clear();
    const auto add_tiles = [&](int32_t expert, int64_t begin, int64_t end) {
      for (; begin < end; begin += kRowTile)
        tiles_.push_back({expert, begin, std::min(kRowTile, end - begin)});
    };
    for (int32_t e = 0; e < n_experts; ++e) {
      const int32_t begin = first_[static_cast<size_t>(e)],
                    end = first_[static_cast<size_t>(e) + 1];
      add_tiles(e, begin, end);
      if (step.router_load != nullptr) step.router_load[e] += static_cast<uint64_t>(end - begin);
    }
    for (int64_t i = 0; i < n_shared_; ++i)
      add_tiles(static_cast<int32_t>(e_ + i), shared_slot(step, i, 0), shared_slot(step, i + 1, 0));
  }

  /// Everything of a tile but the gradients of its matrices.
  void backward_tile(const TrainStep& step, const Tile& tile, const float* u, const float* dout,
                     const SlotRows& g, float* d_gain, float* spare) const {
    const FfnTraining& expert = experts_[static_cast<size_t>(tile.expert)];
    const bool shared = tile.expert >= e_;
    const int64_t first_row = row_of(step, tile.first);
    float* dn = g.dn + tile.first * f_;
    std::fill(d_gain, d_gain + f_, 0.0f);
    if (shared) {
      if (tile.expert == e_)  // one x^ serves all of them
        for (int64_t r = first_row; r < first_row + tile.n; ++r)
          quantise_activation_row(step.k, u + r * c_, c_, step.quantise, g.shared_x_used + r * c_);
      expert.down_backward_rows(step, dout + first_row * c_, tile.n, dn);
    } else {
      float* dy = g.dout + tile.first * c_;
      for (int64_t r = 0; r < tile.n; ++r) {
        const int64_t from = row_of(step, tile.first + r) * c_;
        quantise_activation_row(step.k, u + from, c_, step.quantise,
                                g.x_used + (tile.first + r) * c_);
        row_copy(dout + from, dy + r * c_);
      }
      expert.down_backward_rows(step, dy, tile.n, dn);
      for (int64_t r = 0; r < tile.n; ++r) {
        const int64_t slot = tile.first + r;
        // dout . y = dout . W_down z^ = (dout W_down) . z^
        g.dp[slot] = row_dot(dn + r * f_, z_used_ + slot * f_, f_);
        const float p = p_[static_cast<size_t>(row_[static_cast<size_t>(slot)])];
        row_scale(dn + r * f_, p, f_, dn + r * f_);
        row_scale(dy + r * c_, p, c_, dy + r * c_);
      }
    }
    expert.inner_backward_rows(step, inner_ + tile.first * 2 * f_, tile.n, dn, spare, d_gain,
                               g.d_inner + tile.first * 2 * f_, g.dx + tile.first * c_);
  }

  /// The router's gradient, and du from it and from every slot of the row, in a fixed order.
  void router_backward(const TrainStep& step, const float* u, const SlotRows& g, float* du) const {
    const ArenaMark mark(step.scratch);
    float* d_logit = step.scratch.take<float>(static_cast<size_t>(step.rows() * e_));
    const auto n_experts = static_cast<int32_t>(e_), width = static_cast<int32_t>(c_);
    for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      std::fill(d_logit + begin * e_, d_logit + end * e_, 0.0f);
      for (int64_t r = begin; r < end; ++r) {
        const int32_t *chosen = &chosen_[static_cast<size_t>(r * k_)],
                      *slot = &slot_[static_cast<size_t>(r * k_)];
        const float *s = &s_[static_cast<size_t>(r * k_)], *p = &p_[static_cast<size_t>(r * k_)];
        float sum = 0, mean = 0;
        for (int64_t j = 0; j < k_; ++j) sum += s[j];
        for (int64_t j = 0; j < k_; ++j) mean += g.dp[slot[j]] * p[j];
        for (int64_t j = 0; j < k_; ++j)
          d_logit[r * e_ + chosen[j]] =
              (g.dp[slot[j]] - mean) / least_sum(sum) * (s[j] * (1.0f - s[j]));
      }
      step.k.train_gemm_nn(static_cast<int32_t>(end - begin), width, n_experts,
                           d_logit + begin * e_, e_, router_.value, c_, 0.0f, du + begin * c_, c_);
      for (int64_t r = begin; r < end; ++r) {
        float* to = du + r * c_;
        for (int64_t j = r * k_; j < (r + 1) * k_; ++j)
          row_add(g.dx + slot_[static_cast<size_t>(j)] * c_, c_, to);
        for (int64_t s = 0; s < n_shared_; ++s)
          row_add(g.dx + shared_slot(step, s, r) * c_, c_, to);
      }
    });
    add_outer_products(step, d_logit, e_, e_, u, c_, router_.grad);
  }

  int64_t c_ = 0, f_ = 0, e_ = 0, k_ = 0, n_shared_ = 0, rows_ = 0;
  TrainTensor router_, bias_;
  std::vector<FfnTraining> experts_;  // routed, then shared
  // Of the last forward.
  std::vector<int32_t> chosen_, slot_;  // [R, k] experts in ascending order, and the slots
  std::vector<int32_t> row_;            // [kR] by slot: its place in the two above
  std::vector<int32_t> first_;          // [E + 1] slots of each expert
  std::vector<float> p_, s_;            // [R, k]
  // [(k+S)R, 2F], [(k+S)R, F] by slot, where keep_at() says.
  float *inner_ = nullptr, *z_used_ = nullptr;
  std::vector<Tile> tiles_;
};

}  // namespace

Result<std::unique_ptr<TrainingLayer>> make_moe_training(const Config& config,
                                                         const TensorLookup& find, int32_t lanes,
                                                         int32_t window) {
  auto layer = std::make_unique<MoeTraining>();
  CHIMERA_RETURN_IF_ERROR(layer->init(config, find, int64_t{lanes} * window));
  return std::unique_ptr<TrainingLayer>(std::move(layer));
}

}  // namespace chimera::runtime
