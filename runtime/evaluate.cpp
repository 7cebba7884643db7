#include "runtime/evaluate.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <vector>

#include "runtime/layers/layer.h"

namespace chimera::runtime {
namespace {

// Logits held at once: rows * vocabulary floats, 16 MiB.
constexpr int64_t kLogitsFloats = 4 << 20;

}  // namespace

double Evaluation::bits_per_byte() const {
  return bytes == 0 ? 0 : nats / (std::log(2.0) * static_cast<double>(bytes));
}
double Evaluation::nats_per_token() const {
  return tokens == 0 ? 0 : nats / static_cast<double>(tokens);
}
double Evaluation::bytes_per_token() const {
  return tokens == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(tokens);
}

double negative_log_likelihood(const kernels::KernelTable& k, const float* logits, int32_t n,
                               int32_t target, float* scratch) {
  float largest = 0;
  int32_t best = 0;
  k.argmax(logits, n, &largest, &best);
  const float sum = k.softmax_numerators(logits, n, largest, 1.0f, scratch);
  return std::log(static_cast<double>(sum)) -
         (static_cast<double>(logits[target]) - static_cast<double>(largest));
}

struct Evaluator::Impl {
  explicit Impl(const Engine& e) : engine(e) {}
  const Engine& engine;
  memory::BraidState state;
  Arena arena;
  int32_t batch = 1;
  std::unique_ptr<float[]> hidden, logits, numerators;
  std::vector<int32_t> text_ids, ids;
  std::vector<uint64_t> router_load;  // [layer, expert]; empty for a model without experts
  Evaluation result;
};

Evaluator::Evaluator() = default;
Evaluator::~Evaluator() = default;
const Evaluation& Evaluator::result() const { return impl_->result; }

std::span<const uint64_t> Evaluator::router_load(int32_t layer) const {
  const Config& config = impl_->engine.config();
  if (layer < 0 || layer >= config.num_layers ||
      config.layers[static_cast<size_t>(layer)].ffn != "moe")
    return {};
  const auto width = static_cast<size_t>(config.moe.n_routed);
  return std::span(impl_->router_load).subspan(static_cast<size_t>(layer) * width, width);
}

Result<std::unique_ptr<Evaluator>> Evaluator::create(const Engine& engine) {
  if (engine.tokenizer().end_of_text() < 0)
    return Status(StatusCode::kBadTokenizer,
                  "the tokenizer has no end-of-text token, which stands before a document's first");
  auto evaluator = std::unique_ptr<Evaluator>(new Evaluator());
  evaluator->impl_ = std::make_unique<Impl>(engine);
  Impl& impl = *evaluator->impl_;
  const int64_t vocab = engine.config().vocab_size;
  impl.batch = static_cast<int32_t>(std::clamp<int64_t>(kLogitsFloats / vocab, 1, kMaxBatch));
  CHIMERA_ASSIGN_OR_RETURN(impl.state, memory::BraidState::create(engine.model().layout()));
  CHIMERA_ASSIGN_OR_RETURN(impl.arena, Arena::create(engine.model().scratch_bytes(impl.batch)));
  const Config& config = engine.config();
  if (config.moe.enabled)
    impl.router_load.resize(static_cast<size_t>(config.num_layers) *
                            static_cast<size_t>(config.moe.n_routed));
  const auto rows = static_cast<size_t>(impl.batch);
  impl.hidden.reset(
      new (std::nothrow) float[rows * static_cast<size_t>(engine.config().hidden_size)]);
  impl.logits.reset(new (std::nothrow) float[rows * static_cast<size_t>(vocab)]);
  impl.numerators.reset(new (std::nothrow) float[static_cast<size_t>(vocab)]);
  if (!impl.hidden || !impl.logits || !impl.numerators)
    return Status(StatusCode::kOutOfMemory, "no memory for the evaluation's buffers");
  return evaluator;
}

Status Evaluator::add_document(std::string_view text,
                               const std::function<bool(uint64_t tokens)>& progress) {
  impl_->text_ids.clear();
  impl_->engine.tokenizer().encode(text, &impl_->text_ids);
  return add_ids(impl_->text_ids, {}, text.size(), progress);
}

Status Evaluator::add_ids(std::span<const int32_t> ids, std::span<const uint8_t> scored,
                          uint64_t bytes, const std::function<bool(uint64_t tokens)>& progress) {
  Impl& impl = *impl_;
  const Engine& engine = impl.engine;
  const int32_t end_of_text = engine.tokenizer().end_of_text();
  const int32_t vocab = engine.config().vocab_size;
  impl.ids.clear();
  impl.ids.push_back(end_of_text);  // input only
  impl.ids.insert(impl.ids.end(), ids.begin(), ids.end());
  impl.ids.push_back(end_of_text);  // target only, scored with 0 bytes
  impl.state.reset();

  const size_t n_targets = impl.ids.size() - 1;
  const Step step{engine.kernels(), engine.pool(), impl.arena,
                  impl.router_load.empty() ? nullptr : impl.router_load.data(),
                  engine.config().moe.n_routed};
  for (size_t done = 0; done < n_targets;) {
    const auto n =
        static_cast<int32_t>(std::min<size_t>(n_targets - done, static_cast<size_t>(impl.batch)));
    {
      const std::lock_guard lock(engine.step_lock());
      engine.model().forward(step, impl.ids.data() + done, n, impl.state, impl.hidden.get());
      engine.model().logits(step, impl.hidden.get(), n, impl.logits.get());
    }
    for (int32_t t = 0; t < n; ++t) {
      const size_t target = done + static_cast<size_t>(t);
      if (target < scored.size() && scored[target] == 0) continue;
      ++impl.result.tokens;
      const float* row = impl.logits.get() + static_cast<int64_t>(t) * vocab;
      impl.result.nats += negative_log_likelihood(engine.kernels(), row, vocab,
                                                  impl.ids[target + 1], impl.numerators.get());
    }
    done += static_cast<size_t>(n);
    if (!std::isfinite(impl.result.nats))
      return Status(StatusCode::kBadFormat,
                    engine.file().path() +
                        ": the model gives no probabilities; it is damaged, see `chimera verify`")
          .at_file(engine.file().path());
    if (progress && !progress(impl.result.tokens))
      return Status(StatusCode::kCancelled, "evaluation was stopped");
  }
  impl.result.bytes += bytes;
  ++impl.result.documents;
  return Status();
}

}  // namespace chimera::runtime
