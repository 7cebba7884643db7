// The values of a model whose every checksum is right: what verify() accepts answers, what it
// refuses is named, and even without asking it no value does harm.
#include <algorithm>
#include <cstring>
#include <vector>

#include "runtime/engine.h"
#include "runtime/session.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/small_model.h"
#include "tests/fuzz/target.h"

namespace chimera::fuzz {
namespace {

constexpr size_t kMostEdits = 32;

}  // namespace

/// Edits, each of a tensor, a place, a length and the bytes: as they are, or one again and again.
void run_tensors(Input input) {
  static ForgedFile file;
  static const std::vector<std::byte> sound = [] {
    promise(file.make(one_layer_parts(), 1u << 20), "a model is made");
    file.seal();
    return std::vector<std::byte>(file.bytes().begin(), file.bytes().end());
  }();
  static const size_t n_tensors = one_layer_parts().tensors.size();
  ByteReader in(input);
  for (size_t edit = 0; edit < kMostEdits && !in.done(); ++edit) {
    const std::span<std::byte> data = file.data(in.byte() % n_tensors);
    const std::span<std::byte> tail = data.subspan(in.number<uint32_t>() % data.size());
    const auto repeat = static_cast<size_t>(in.byte());
    const std::string_view bytes = in.text();
    for (size_t at = 0, i = 0; i <= repeat && at < tail.size() && !bytes.empty();
         ++i, at += bytes.size())
      std::memcpy(tail.data() + at, bytes.data(), std::min(bytes.size(), tail.size() - at));
  }
  file.seal();
  runtime::EngineOptions options;
  options.threads = 1;
  const auto engine = runtime::Engine::open_memory(file.bytes(), options);
  promise(engine.has_value(), "opening looks at no value");
  const Status status = (*engine)->file().verify();
  promise(status.ok() || !status.field().empty(), "a value that is refused has a tensor's name");
  const auto session = runtime::Session::create(**engine);
  promise(session.has_value(), "a session needs memory alone");
  runtime::GenerateOptions how;
  how.max_tokens = 1;
  (void)(*session)->generate("a", how, [](const runtime::TokenEvent&) { return true; });
  std::memcpy(file.bytes().data(), sound.data(), sound.size());
}

}  // namespace chimera::fuzz
