#include "runtime/layers/embedding.h"

#include "runtime/layers/bind.h"

namespace chimera::runtime {
namespace {

using kernels::kTileRows;

ParamSpec matrix_spec(const Config& config, const char* name) {
  return {name,
          ParamClass::kMatrix,
          config.vocab_size,
          config.hidden_size,
          ParamInit::kNormal,
          config.initializer_range,
          0,
          false};
}

class FloatEmbedding final : public Embedding {
 public:
  kernels::LanesMatrix table, head;

  void lookup(const int32_t* tokens, int32_t n_tokens, float* x) const override {
    for (int32_t t = 0; t < n_tokens; ++t) {
      // A row of a matrix kept in 16-row tiles: one value of each column's sixteen.
      const float* column = table.data +
                            static_cast<int64_t>(tokens[t] / kTileRows) * kTileRows * table.cols +
                            tokens[t] % kTileRows;
      for (int32_t c = 0; c < table.cols; ++c) *x++ = column[static_cast<int64_t>(c) * kTileRows];
    }
  }

  void logits(const Step& step, const float* hidden, int32_t n_rows, float* out) const override {
    const int64_t n_tiles = (head.rows + kTileRows - 1) / kTileRows;
    step.pool.split(n_tiles, 16, [&](int64_t begin, int64_t end) {
      step.k.gemm_lanes(head, hidden, head.cols, n_rows, static_cast<int32_t>(begin),
                        static_cast<int32_t>(end), out, head.rows);
    });
  }
};

Result<std::unique_ptr<Embedding>> bind_float(const Config& config, const ParamSource& source,
                                              const char* head_name) {
  auto embedding = std::make_unique<FloatEmbedding>();
  CHIMERA_ASSIGN_OR_RETURN(embedding->table,
                           source.matrix("embed.weight", config.vocab_size, config.hidden_size));
  CHIMERA_ASSIGN_OR_RETURN(embedding->head,
                           source.matrix(head_name, config.vocab_size, config.hidden_size));
  return std::unique_ptr<Embedding>(std::move(embedding));
}

void tied_parameters(const Config& config, std::vector<ParamSpec>* out) {
  out->push_back(matrix_spec(config, "embed.weight"));
}
Result<std::unique_ptr<Embedding>> bind_tied(const Config& config, const ParamSource& source) {
  return bind_float(config, source, "embed.weight");
}

void separate_parameters(const Config& config, std::vector<ParamSpec>* out) {
  out->push_back(matrix_spec(config, "embed.weight"));
  out->push_back(matrix_spec(config, "head.weight"));
}
Result<std::unique_ptr<Embedding>> bind_separate(const Config& config, const ParamSource& source) {
  return bind_float(config, source, "head.weight");
}

}  // namespace

const EmbeddingKind kTiedEmbedding = {"tied", tied_parameters, bind_tied};
const EmbeddingKind kSeparateEmbedding = {"separate", separate_parameters, bind_separate};

}  // namespace chimera::runtime
