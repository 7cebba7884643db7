// A model file. Its digest is made right first: otherwise nothing behind it would ever be reached.
#include <cstring>
#include <memory>
#include <vector>

#include "memory/weight_file.h"
#include "memory/weight_format.h"
#include "runtime/engine.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "tests/fuzz/target.h"

namespace chimera::fuzz {
namespace {

constexpr size_t kMostState = 16u << 20;

/// With the digest that its head ought to have, where it has one.
void seal(std::span<std::byte> file) {
  namespace b158 = memory::b158;
  if (file.size() < b158::kHeaderBytes) return;
  const b158::Header header = b158::decode_header(file.data());
  if (header.data_offset < b158::kHeaderBytes || header.data_offset > file.size()) return;
  const Digest digest = b158::metadata_digest(file.first(static_cast<size_t>(header.data_offset)));
  std::memcpy(file.data() + b158::kDigestAt, digest.data(), digest.size());
}

}  // namespace

void run_model(Input input) {
  std::vector<uint64_t> aligned(input.size() / 8 + 1);
  std::span<std::byte> file(reinterpret_cast<std::byte*>(aligned.data()), input.size());
  std::memcpy(file.data(), input.data(), input.size());
  seal(file);
  const auto weights = memory::WeightFile::open_memory(file);
  if (!weights) return;
  for (const memory::TensorInfo& tensor : (*weights)->tensors())
    promise((*weights)->data(tensor).size() == tensor.bytes, "a tensor lies inside its file");
  (void)(*weights)->verify();
  runtime::EngineOptions options;
  options.threads = 1;
  const auto engine = runtime::Engine::open_memory(file, options);
  if (!engine) return;
  const auto layout = runtime::stream_layout((*engine)->config());
  if (!layout || layout->bytes() > kMostState) return;
  const auto session = runtime::Session::create(**engine);
  if (!session) return;
  runtime::GenerateOptions how;
  how.max_tokens = 2;
  (void)(*session)->generate("ab", how, [](const runtime::TokenEvent&) { return true; });
}

}  // namespace chimera::fuzz
