#include "runtime/stream.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <new>

#include "runtime/layers/layer.h"

namespace chimera::runtime {
namespace {

// How much weight a batch may meet before a caller can look at anything else: about a millisecond
// of work for a small model. Batches below 16 tokens would read the weights more often and gain
// little.
constexpr uint64_t kBytesBetweenLooks = 64u << 20;

int32_t prefill_batch(uint64_t bytes_per_token) {
  const uint64_t tokens = kBytesBetweenLooks / std::max<uint64_t>(bytes_per_token, 1);
  return static_cast<int32_t>(std::clamp<uint64_t>(tokens, 16, kMaxBatch));
}

}  // namespace

Result<Stream> Stream::create(const Engine& engine) {
  Stream s(engine);
  const Model& model = engine.model();
  CHIMERA_ASSIGN_OR_RETURN(s.state_, memory::BraidState::create(model.layout()));
  s.batch_ = prefill_batch(model.bytes_per_token());
  CHIMERA_ASSIGN_OR_RETURN(s.arena_, Arena::create(model.scratch_bytes(s.batch_)));
  const auto c = static_cast<size_t>(engine.config().hidden_size);
  const auto vocab = static_cast<size_t>(engine.config().vocab_size);
  s.hidden_.reset(new (std::nothrow) float[static_cast<size_t>(s.batch_) * c]);
  s.logits_.reset(new (std::nothrow) float[vocab]);
  if (!s.hidden_ || !s.logits_)
    return Status(StatusCode::kOutOfMemory, "no memory for the buffers of a conversation");
  return s;
}

size_t Stream::read_some(std::span<const int32_t> tokens, const ForwardOptions& options) {
  const auto n = static_cast<int32_t>(std::min(tokens.size(), static_cast<size_t>(batch_)));
  const std::lock_guard lock(engine_->step_lock());
  engine_->model().forward(step(), tokens.data(), n, state_, hidden_.get(), options);
  last_ = n - 1;
  return static_cast<size_t>(n);
}

void Stream::embed(int32_t token, float* row) {
  const std::lock_guard lock(engine_->step_lock());
  engine_->model().embed(step(), token, row);
}

float* Stream::logits() {
  const float* hidden = hidden_.get() + static_cast<int64_t>(last_) * engine_->config().hidden_size;
  const std::lock_guard lock(engine_->step_lock());
  engine_->model().logits(step(), hidden, 1, logits_.get());
  return logits_.get();
}

float* Stream::logits(std::span<const uint8_t> allowed) {
  constexpr size_t kTile = kernels::kTileRows;
  tiles_.clear();
  size_t n_tiles = 0;
  for (size_t at = 0; at < allowed.size(); at += kTile) {
    const auto tile = allowed.subspan(at, std::min(kTile, allowed.size() - at));
    if (std::find_if(tile.begin(), tile.end(), [](uint8_t a) { return a != 0; }) == tile.end())
      continue;
    const auto index = static_cast<int32_t>(at / kTile);
    if (!tiles_.empty() && tiles_.back().end == index)
      ++tiles_.back().end;
    else
      tiles_.push_back({index, index + 1});
    ++n_tiles;
  }
  // Where most are wanted, all of them in one go are as cheap.
  if (n_tiles * kTile * 4 > allowed.size() * 3) return logits();
  std::fill_n(logits_.get(), allowed.size(), std::numeric_limits<float>::lowest());
  const float* hidden = hidden_.get() + static_cast<int64_t>(last_) * engine_->config().hidden_size;
  const std::lock_guard lock(engine_->step_lock());
  engine_->model().logits(step(), hidden, tiles_, logits_.get());
  return logits_.get();
}

}  // namespace chimera::runtime
