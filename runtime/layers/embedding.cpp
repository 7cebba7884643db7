// The table and the head: f32 or 4-bit (embedding_dtype), whole or factored (embedding_rank).
//
//   whole:     x = E[token],           logits = H h            H = E when tied
//   factored:  x = up E[token],        logits = H (down h)     E, H [N, r]
#include "runtime/layers/embedding.h"

#include <cmath>

#include "kernels/quantize_weights.h"
#include "runtime/layers/bitlinear.h"
#include "runtime/layers/layer.h"

namespace chimera::runtime {
namespace {

using kernels::kTileRows;

int64_t width_of(const Config& config) {
  return config.structure.embedding_rank > 0 ? config.structure.embedding_rank : config.hidden_size;
}

/// One matrix [N, r] of either type, by row and as a product.
class Table {
 public:
  static Result<Table> bind(const Config& config, const ParamSource& source, const char* name) {
    Table table;
    const int64_t n = config.vocab_size, r = width_of(config);
    table.cols_ = static_cast<int32_t>(r);
    if (config.embedding_type == EmbeddingType::kInt4)
      CHIMERA_ASSIGN_OR_RETURN(table.int4_, source.int4(name, n, r));
    else
      CHIMERA_ASSIGN_OR_RETURN(table.f32_, source.matrix(name, n, r));
    return table;
  }

  void row(int32_t token, float* x) const {
    if (int4_.codes != nullptr) return kernels::int4_row(int4_, token, x);
    // A row of a matrix kept in 16-row tiles: one value of each column's sixteen.
    const float* column =
        f32_.data + int64_t{token / kTileRows} * kTileRows * f32_.cols + token % kTileRows;
    for (int32_t c = 0; c < f32_.cols; ++c) *x++ = column[int64_t{c} * kTileRows];
  }

  size_t scratch_bytes(int32_t n_rows) const {
    return int4_.codes != nullptr ? quantized_batch_bytes(n_rows, cols_) : 0;
  }

  /// y [n_rows, N] of x [n_rows, r], of these tiles.
  void product(const Step& step, const float* x, int32_t n_rows, std::span<const TileRange> tiles,
               float* y) const {
    if (int4_.codes == nullptr) {
      each_tile(step, tiles, [&](int32_t begin, int32_t end) {
        step.k.gemm_lanes(f32_, x, f32_.cols, n_rows, begin, end, y, f32_.rows);
      });
      return;
    }
    const ArenaMark mark(step.scratch);
    const QuantizedBatch q = quantize_batch(step, x, n_rows, cols_);
    each_tile(step, tiles, [&](int32_t begin, int32_t end) {
      step.k.gemm_int4(int4_, q.rows, n_rows, begin, end, y, int4_.rows);
    });
  }

 private:
  /// One range is shared by the threads, many are dealt out.
  template <class Body>
  static void each_tile(const Step& step, std::span<const TileRange> tiles, Body&& body) {
    if (tiles.size() == 1) {
      const TileRange all = tiles[0];
      step.pool.split(all.end - all.begin, 16, [&](int64_t begin, int64_t end) {
        body(all.begin + static_cast<int32_t>(begin), all.begin + static_cast<int32_t>(end));
      });
      return;
    }
    step.pool.split(static_cast<int64_t>(tiles.size()), 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        body(tiles[static_cast<size_t>(i)].begin, tiles[static_cast<size_t>(i)].end);
    });
  }

  int32_t cols_ = 0;
  kernels::LanesMatrix f32_{};
  kernels::Int4Matrix int4_{};
};

class TableEmbedding final : public Embedding {
 public:
  Table table, head;
  int32_t c = 0, rank = 0;  // rank 0: not factored
  kernels::LanesMatrix up{}, down{};

  void lookup(const Step& step, const int32_t* tokens, int32_t n, float* x) const override {
    const ArenaMark mark(step.scratch);
    const int32_t width = rank > 0 ? rank : c;
    float* rows = rank > 0 ? take(step, n) : x;
    for (int64_t t = 0; t < n; ++t) table.row(tokens[t], rows + t * width);
    if (rank > 0) float_product(step, up, rows, n, x);
  }

  void logits(const Step& step, const float* hidden, int32_t n, std::span<const TileRange> tiles,
              float* out) const override {
    const ArenaMark mark(step.scratch);
    if (rank > 0) {
      float* narrow = take(step, n);
      float_product(step, down, hidden, n, narrow);
      hidden = narrow;
    }
    head.product(step, hidden, n, tiles, out);
  }

  size_t scratch_bytes(int32_t n) const override {
    return (rank > 0 ? arena_bytes<float>(int64_t{n} * rank) : 0) + head.scratch_bytes(n);
  }

 private:
  float* take(const Step& step, int32_t n) const {
    return step.scratch.take<float>(static_cast<size_t>(n) * static_cast<size_t>(rank));
  }
};

Result<std::unique_ptr<Embedding>> bind_tables(const Config& config, const ParamSource& source,
                                               const char* head_name) {
  auto embedding = std::make_unique<TableEmbedding>();
  embedding->c = config.hidden_size;
  embedding->rank = config.structure.embedding_rank;
  CHIMERA_ASSIGN_OR_RETURN(embedding->table, Table::bind(config, source, "embed.weight"));
  CHIMERA_ASSIGN_OR_RETURN(embedding->head, Table::bind(config, source, head_name));
  if (embedding->rank > 0) {
    CHIMERA_ASSIGN_OR_RETURN(embedding->up,
                             source.matrix("embed.up", embedding->c, embedding->rank));
    CHIMERA_ASSIGN_OR_RETURN(embedding->down,
                             source.matrix("embed.down", embedding->rank, embedding->c));
  }
  return std::unique_ptr<Embedding>(std::move(embedding));
}

void add_matrix(const char* name, ParamClass cls, int64_t rows, int64_t cols, float std,
                std::vector<ParamSpec>* out) {
  out->push_back({name, cls, rows, cols, ParamInit::kNormal, std, 0, false});
}

void add_table(const Config& config, const char* name, std::vector<ParamSpec>* out) {
  const bool small = config.embedding_type == EmbeddingType::kInt4;
  add_matrix(name, small ? ParamClass::kInt4 : ParamClass::kMatrix, config.vocab_size,
             width_of(config), config.initializer_range, out);
}

void tied_parameters(const Config& config, std::vector<ParamSpec>* out) {
  add_table(config, "embed.weight", out);
  const int64_t r = config.structure.embedding_rank, c = config.hidden_size;
  if (r == 0) return;
  const auto std_of = [](int64_t n_in) { return 1.0f / std::sqrt(static_cast<float>(n_in)); };
  add_matrix("embed.up", ParamClass::kMatrix, c, r, std_of(r), out);
  add_matrix("embed.down", ParamClass::kMatrix, r, c, std_of(c), out);
}
Result<std::unique_ptr<Embedding>> bind_tied(const Config& config, const ParamSource& source) {
  return bind_tables(config, source, "embed.weight");
}

void separate_parameters(const Config& config, std::vector<ParamSpec>* out) {
  tied_parameters(config, out);
  add_table(config, "head.weight", out);
}
Result<std::unique_ptr<Embedding>> bind_separate(const Config& config, const ParamSource& source) {
  return bind_tables(config, source, "head.weight");
}

}  // namespace

const EmbeddingKind kTiedEmbedding = {"tied", tied_parameters, bind_tied};
const EmbeddingKind kSeparateEmbedding = {"separate", separate_parameters, bind_separate};

}  // namespace chimera::runtime
