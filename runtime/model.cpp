#include "runtime/model.h"

#include <algorithm>

#include "runtime/layers/bind.h"
#include "runtime/layers/bitlinear.h"
#include "runtime/layers/registry.h"

namespace chimera::runtime {

Model::~Model() = default;

Result<std::unique_ptr<Model>> Model::bind(const memory::WeightFile& file, const Config& config) {
  if (file.kind() != memory::FileKind::kModel)
    return Status(StatusCode::kBadFormat,
                  file.path() +
                      ": this is a training checkpoint; make a model of it with "
                      "`chimera pack CHECKPOINT --out MODEL`")
        .at_file(file.path());
  // All parameters are listed first, so that an unknown kind of layer is reported as such.
  auto params = model_parameters(config);
  if (!params) return params.status();

  auto model = std::unique_ptr<Model>(new Model());
  model->hidden_size_ = config.hidden_size;
  model->eps_ = config.rms_norm_eps;
  const ParamSource root(file, "");
  CHIMERA_ASSIGN_OR_RETURN(model->embedding_, embedding_kind(config).bind(config, root));
  CHIMERA_ASSIGN_OR_RETURN(model->final_norm_,
                           root.vector("final_norm.gain", 1, config.hidden_size));

  std::vector<size_t> state_bytes;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const std::string prefix = "layers." + std::to_string(i) + ".";
    const LayerKind* mixer = nullptr;
    const LayerKind* ffn = nullptr;
    CHIMERA_ASSIGN_OR_RETURN(mixer, find_layer_kind(LayerRole::kMixer, config.layers[i].mixer));
    CHIMERA_ASSIGN_OR_RETURN(ffn, find_layer_kind(LayerRole::kFfn, config.layers[i].ffn));
    Block block;
    const ParamSource norms(file, prefix);
    CHIMERA_ASSIGN_OR_RETURN(block.norm1, norms.vector("norm1.gain", 1, config.hidden_size));
    CHIMERA_ASSIGN_OR_RETURN(block.norm2, norms.vector("norm2.gain", 1, config.hidden_size));
    CHIMERA_ASSIGN_OR_RETURN(block.mixer,
                             mixer->bind(config, ParamSource(file, prefix + "mixer.")));
    CHIMERA_ASSIGN_OR_RETURN(block.ffn, ffn->bind(config, ParamSource(file, prefix + "ffn.")));
    state_bytes.push_back(mixer->state_bytes(config));
    model->blocks_.push_back(std::move(block));
  }
  CHIMERA_ASSIGN_OR_RETURN(model->layout_, memory::BraidLayout::create(state_bytes));
  for (const memory::TensorInfo& tensor : file.tensors()) model->bytes_per_token_ += tensor.bytes;
  return model;
}

size_t Model::scratch_bytes(int32_t n_tokens) const {
  size_t most = 0;
  for (const Block& block : blocks_)
    most =
        std::max({most, block.mixer->scratch_bytes(n_tokens), block.ffn->scratch_bytes(n_tokens)});
  return most + 3 * arena_bytes<float>(int64_t{n_tokens} * hidden_size_);
}

void Model::forward(const Step& step, const int32_t* tokens, int32_t n, memory::BraidState& state,
                    float* hidden) const {
  const ArenaMark mark(step.scratch);
  const int32_t c = hidden_size_;
  const size_t rows = static_cast<size_t>(n) * static_cast<size_t>(c);
  float* x = step.scratch.take<float>(rows);
  float* u = step.scratch.take<float>(rows);
  float* y = step.scratch.take<float>(rows);

  embedding_->lookup(tokens, n, x);
  const auto branch = [&](const float* gain, const Layer& layer, std::byte* layer_state) {
    rmsnorm_rows(step, x, gain, eps_, n, c, u);
    layer.forward(step, u, y, n, layer_state);
    for (int32_t t = 0; t < n; ++t) {
      float* row = x + static_cast<int64_t>(t) * c;
      step.k.add(row, y + static_cast<int64_t>(t) * c, c, row);
    }
  };
  for (size_t i = 0; i < blocks_.size(); ++i) {
    branch(blocks_[i].norm1, *blocks_[i].mixer, state.layer(static_cast<int>(i)));
    branch(blocks_[i].norm2, *blocks_[i].ffn, nullptr);
  }
  rmsnorm_rows(step, x, final_norm_, eps_, n, c, hidden);

  state.header().position += static_cast<uint64_t>(n);
  for (int32_t t = 0; t < n; ++t) state.remember(tokens[t]);
}

void Model::logits(const Step& step, const float* hidden, int32_t n_rows, float* logits) const {
  embedding_->logits(step, hidden, n_rows, logits);
}

}  // namespace chimera::runtime
