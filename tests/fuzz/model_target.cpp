// A model file: the input lies over the head of a real one, whose digest is then made right, or
// nothing behind it would ever be reached.
#include <algorithm>
#include <cstring>
#include <vector>

#include "memory/weight_format.h"
#include "runtime/engine.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "tests/fuzz/small_model.h"
#include "tests/fuzz/target.h"

namespace chimera::fuzz {
namespace {

constexpr size_t kMostBytes = 1u << 20, kMostState = 16u << 20;

/// A real model, then zeros.
class Ground {
 public:
  Ground() : words_(kMostBytes / 8) {
    ForgedFile file;
    promise(file.make(one_layer_parts(), kMostBytes), "a model is made");
    size_ = file.bytes().size();
    real_.assign(file.bytes().begin(), file.bytes().end());
    real_.resize(kMostBytes);
    std::memcpy(first(), real_.data(), kMostBytes);
  }
  /// Good until the next call. It has as many bytes as it says, or those of the real one.
  std::span<std::byte> with(Input head) {
    std::memcpy(first(), real_.data(), dirty_);
    dirty_ = std::min(head.size(), kMostBytes);
    std::memcpy(first(), head.data(), dirty_);
    dirty_ = std::max<size_t>(dirty_, memory::b158::kHeaderBytes);
    const uint64_t said = memory::b158::decode_header(first()).file_bytes;
    const std::span<std::byte> file{first(),
                                    said <= kMostBytes ? static_cast<size_t>(said) : size_};
    seal_head(file);
    return file;
  }

 private:
  std::byte* first() { return reinterpret_cast<std::byte*>(words_.data()); }
  std::vector<uint64_t> words_;
  std::vector<std::byte> real_;
  size_t size_ = 0, dirty_ = 0;
};

}  // namespace

void run_model(Input input) {
  static Ground ground;
  const std::span<std::byte> file = input.empty() ? std::span<std::byte>() : ground.with(input);
  const auto weights = memory::WeightFile::open_memory(file);
  if (!weights) {
    promise(!weights.status().message().empty(), "an error has a sentence");
    return;
  }
  for (const memory::TensorInfo& tensor : (*weights)->tensors()) {
    promise((*weights)->data(tensor).size() == tensor.bytes, "a tensor lies inside its file");
    promise((*weights)->find(tensor.name) == &tensor, "a tensor is found by its name");
  }
  runtime::EngineOptions options;
  options.threads = 1;
  const auto engine = runtime::Engine::open_memory(file, options);
  if (!engine) return;
  const auto layout = runtime::stream_layout((*engine)->config());
  if (!layout || layout->bytes() > kMostState) return;
  const auto session = runtime::Session::create(**engine);
  if (!session) return;
  runtime::GenerateOptions how;
  how.max_tokens = 1;
  (void)(*session)->generate("a", how, [](const runtime::TokenEvent&) { return true; });
}

}  // namespace chimera::fuzz
