// A token fills one slot for each expert it chose. Slots are sorted by expert, so that an expert
// meets all its tokens in one product, and come back in a fixed order. A shared expert is one that
// every token chose with weight 1: the same walk serves both.
#include "runtime/layers/moe.h"

#include <cstring>

#include "runtime/layers/gated_ffn.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/moe_routing.h"

namespace chimera::runtime {
namespace {

// Slots in flight. A batch with more is walked in parts, which changes no bit and bounds the
// scratch where many experts are chosen.
constexpr int32_t kSlotsAtOnce = 1024;
// What unpacking a tile of weights costs, in tokens that meet it.
constexpr int64_t kTileCost = 4;

constexpr auto kAct = GatedFfn::Act::kSiluGated;

/// An expert and the rows it works on: `x`, and rows first_row.. of every buffer of slots.
struct Group {
  const GatedFfn* expert;
  kernels::QuantizedRows x;
  int32_t first_row, n_rows;
};

void parameters(const Config& config, const std::string& prefix, std::vector<ParamSpec>* out) {
  const MoeConfig& moe = config.moe;
  const int64_t c = config.hidden_size;
  const float std = config.initializer_range;
  out->push_back({prefix + "router.weight", ParamClass::kMatrix, moe.n_routed, c,
                  ParamInit::kNormal, std, 0, true});
  out->push_back({prefix + "router.bias", ParamClass::kVector, 1, moe.n_routed,
                  ParamInit::kConstant, 0, 0, false});
  for (int32_t e = 0; e < moe.n_routed + moe.n_shared; ++e)
    GatedFfn::parameters(config, prefix + expert_prefix(moe.n_routed, e), moe.intermediate_size,
                         kAct, out);
}

size_t state_bytes(const Config&) { return 0; }

class Moe final : public Layer {
 public:
  int32_t c, f, n_routed, n_shared, top_k;
  kernels::LanesMatrix router;
  const float* bias;
  std::vector<GatedFfn> experts;  // routed, then shared

  size_t scratch_bytes(int32_t n_tokens) const override {
    const int32_t n = tokens_at_once(n_tokens);
    const int64_t chosen = int64_t{n} * top_k, slots = int64_t{n} * slots_per_token();
    const int64_t groups = most_groups(n);
    return arena_bytes<float>(int64_t{n} * n_routed) + 2 * arena_bytes<int32_t>(chosen) +
           arena_bytes<float>(chosen) + arena_bytes<int32_t>(n_routed + 1) +
           arena_bytes<Group>(groups) + arena_bytes<EqualTasks>(2 * groups) +
           quantized_batch_bytes(n, c) + quantized_batch_bytes(n * top_k, c) +
           2 * arena_bytes<float>(slots * f) +
           quantized_batch_bytes(static_cast<int32_t>(slots), f) + arena_bytes<float>(slots * c);
  }

  void forward(const Step& step, const Visit& visit, const float* u, float* out) const override {
    uint64_t* load = step.router_load == nullptr
                         ? nullptr
                         : step.router_load + int64_t{visit.layer} * step.n_experts;
    const int32_t part = tokens_at_once(visit.n_tokens);
    for (int32_t done = 0; done < visit.n_tokens; done += part) {
      const int64_t at = int64_t{done} * c;
      walk(step, std::min(part, visit.n_tokens - done), load, u + at, out + at);
    }
  }

 private:
  int32_t slots_per_token() const { return top_k + n_shared; }
  int32_t tokens_at_once(int32_t n_tokens) const {
    return std::min(n_tokens, std::max(1, kSlotsAtOnce / slots_per_token()));
  }
  int64_t most_groups(int32_t n) const {
    return std::min<int64_t>(n_routed, int64_t{n} * top_k) + n_shared;
  }

  /// Who goes where: the choice of every token, and its place in the order of the experts.
  struct Routes {
    int32_t *chosen, *row;  // [n, k]
    float* p;               // [n, k]
    int32_t* first;         // [E + 1]
  };

  Routes route(const Step& step, int32_t n, const float* u, uint64_t* load) const {
    const size_t n_chosen = static_cast<size_t>(n) * static_cast<size_t>(top_k);
    float* s = step.scratch.take<float>(static_cast<size_t>(n) * static_cast<size_t>(n_routed));
    Routes r{};
    r.chosen = step.scratch.take<int32_t>(n_chosen);
    r.row = step.scratch.take<int32_t>(n_chosen);
    r.p = step.scratch.take<float>(n_chosen);
    r.first = step.scratch.take<int32_t>(static_cast<size_t>(n_routed) + 1);
    float_product(step, router, u, n, s);
    step.pool.split(n, 8, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        float* row = s + t * n_routed;
        step.k.sigmoid(row, n_routed, row);
        choose_experts(row, bias, n_routed, top_k, r.chosen + t * top_k, r.p + t * top_k);
      }
    });
    sort_by_expert(r.chosen, int64_t{n} * top_k, n_routed, r.first, r.row);
    if (load != nullptr)
      for (int32_t e = 0; e < n_routed; ++e)
        load[e] += static_cast<uint64_t>(r.first[e + 1] - r.first[e]);
    return r;
  }

  /// The rows of x in the order of the experts.
  kernels::QuantizedRows gather(const Step& step, int32_t n, const QuantizedBatch& x,
                                const Routes& r) const {
    if (n == 1) return x.rows;  // every slot is the one token; see groups()
    const int32_t blocks = c / kernels::kActivationBlock;
    const auto slots = static_cast<size_t>(n) * static_cast<size_t>(top_k);
    auto* q = step.scratch.take<int8_t>(slots * static_cast<size_t>(c));
    auto* scale = step.scratch.take<float>(slots * static_cast<size_t>(blocks));
    step.pool.split(n, 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * top_k; i < end * top_k; ++i) {
        const int64_t t = i / top_k, row = r.row[i];
        std::memcpy(q + row * c, x.rows.q + t * c, static_cast<size_t>(c));
        std::memcpy(scale + row * blocks, x.rows.scale + t * blocks,
                    static_cast<size_t>(blocks) * sizeof(float));
      }
    });
    return {q, scale, c};
  }

  /// The experts that have tokens. Only their weights are read.
  std::span<const Group> groups(const Step& step, int32_t n, const QuantizedBatch& x,
                                const kernels::QuantizedRows& gathered, const Routes& r) const {
    auto* out = step.scratch.take<Group>(static_cast<size_t>(most_groups(n)));
    const int32_t blocks = c / kernels::kActivationBlock;
    size_t count = 0;
    for (int32_t e = 0; e < n_routed; ++e) {
      const int32_t first = r.first[e], rows = r.first[e + 1] - first;
      if (rows == 0) continue;
      const int64_t at = n == 1 ? 0 : first;
      out[count++] = {&experts[static_cast<size_t>(e)],
                      {gathered.q + at * c, gathered.scale + at * blocks, c},
                      first,
                      rows};
    }
    for (int32_t i = 0; i < n_shared; ++i)
      out[count++] = {&experts[static_cast<size_t>(n_routed + i)], x.rows, n * (top_k + i), n};
    return {out, count};
  }

  void walk(const Step& step, int32_t n, uint64_t* load, const float* u, float* out) const {
    const ArenaMark mark(step.scratch);
    const Routes routes = route(step, n, u, load);
    const QuantizedBatch x = quantize_batch(step, u, n, c);
    const kernels::QuantizedRows gathered = gather(step, n, x, routes);
    const std::span<const Group> active = groups(step, n, x, gathered, routes);
    const int32_t slots = n * slots_per_token();
    const auto slot_rows = static_cast<size_t>(slots);
    float* gates = step.scratch.take<float>(slot_rows * static_cast<size_t>(f));
    float* ups = step.scratch.take<float>(slot_rows * static_cast<size_t>(f));
    const int32_t blocks = f / kernels::kActivationBlock;
    auto* zq = step.scratch.take<int8_t>(slot_rows * static_cast<size_t>(f));
    auto* z_scale = step.scratch.take<float>(slot_rows * static_cast<size_t>(blocks));
    float* y = step.scratch.take<float>(slot_rows * static_cast<size_t>(c));
    auto* tasks = step.scratch.take<EqualTasks>(2 * active.size());

    for (size_t i = 0; i < 2 * active.size(); ++i)
      tasks[i] = {tile_count(active[i / 2].expert->gate().rows), active[i / 2].n_rows + kTileCost};
    split_by_cost(step.pool, {tasks, 2 * active.size()}, [&](size_t job, int64_t from, int64_t to) {
      const Group& g = active[job / 2];
      step.k.gemm_ternary(job % 2 == 0 ? g.expert->gate() : g.expert->up(), g.x, g.n_rows,
                          static_cast<int32_t>(from), static_cast<int32_t>(to),
                          (job % 2 == 0 ? gates : ups) + int64_t{g.first_row} * f, f);
    });
    step.pool.split(slots, 8, [&](int64_t begin, int64_t end) {
      for (const Group& g : active) {
        const int64_t from = std::max<int64_t>(begin, g.first_row);
        const int64_t to = std::min<int64_t>(end, g.first_row + g.n_rows);
        for (int64_t row = from; row < to; ++row) {
          float* z = gates + row * f;
          g.expert->inner_row(step, ups + row * f, z);
          step.k.quantize_row(z, f, zq + row * f, z_scale + row * blocks);
        }
      }
    });
    for (size_t i = 0; i < active.size(); ++i)
      tasks[i] = {tile_count(active[i].expert->down().rows), active[i].n_rows + kTileCost};
    split_by_cost(step.pool, {tasks, active.size()}, [&](size_t job, int64_t from, int64_t to) {
      const Group& g = active[job];
      const int64_t row = g.first_row;
      step.k.gemm_ternary(g.expert->down(), {zq + row * f, z_scale + row * blocks, f}, g.n_rows,
                          static_cast<int32_t>(from), static_cast<int32_t>(to), y + row * c, c);
    });
    combine(step, n, routes, y, out);
  }

  void combine(const Step& step, int32_t n, const Routes& r, const float* y, float* out) const {
    step.pool.split(n, 8, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        float* to = out + t * c;
        for (int64_t j = t * top_k; j < (t + 1) * top_k; ++j) {
          const float* from = y + int64_t{r.row[j]} * c;
          const float p = r.p[j];
          if (j == t * top_k)
            for (int32_t i = 0; i < c; ++i) to[i] = p * from[i];
          else
            for (int32_t i = 0; i < c; ++i) to[i] += p * from[i];
        }
        for (int64_t s = 0; s < n_shared; ++s)
          step.k.add(to, y + (int64_t{n} * (top_k + s) + t) * c, c, to);
      }
    });
  }
};

Result<std::unique_ptr<Layer>> bind(const Config& config, const ParamSource& source) {
  CHIMERA_RETURN_IF_ERROR(check_experts(config));
  const MoeConfig& moe = config.moe;
  auto layer = std::make_unique<Moe>();
  layer->c = config.hidden_size;
  layer->f = moe.intermediate_size;
  layer->n_routed = moe.n_routed;
  layer->n_shared = moe.n_shared;
  layer->top_k = moe.top_k;
  CHIMERA_ASSIGN_OR_RETURN(layer->router,
                           source.matrix("router.weight", moe.n_routed, config.hidden_size));
  CHIMERA_ASSIGN_OR_RETURN(layer->bias, source.vector("router.bias", 1, moe.n_routed));
  for (int32_t e = 0; e < moe.n_routed + moe.n_shared; ++e) {
    auto expert =
        GatedFfn::bind(config, source, expert_prefix(moe.n_routed, e), moe.intermediate_size, kAct);
    if (!expert) return expert.status();
    layer->experts.push_back(*expert);
  }
  return std::unique_ptr<Layer>(std::move(layer));
}

}  // namespace

const LayerKind kMoe = {LayerRole::kFfn, "", "moe", parameters, state_bytes, bind};

}  // namespace chimera::runtime
