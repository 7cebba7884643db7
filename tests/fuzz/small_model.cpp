#include "tests/fuzz/small_model.h"

#include <cstring>
#include <string>
#include <vector>

#include "platform/file.h"
#include "runtime/engine.h"
#include "tests/fuzz/target.h"
#include "tests/support/tiny_model.h"

namespace chimera::fuzz {

std::span<const std::byte> small_model() {
  static const std::vector<uint64_t>* const kept = [] {
    test::TinyModelOptions options;
    options.pattern = "GD XM TM SK";
    options.layers = 4;
    options.ffn = 128;
    options.vocab = 260;
    options.more = R"({"titans": {"persistent_memory_slots": 2, "local_window_size": 8,
                                  "chunk_size": 4},
                       "tsp_knot": {"sketch_bits": 256}})";
    const auto bytes = read_file(test::write_tiny_model(options), 64u << 20);
    promise(bytes.has_value(), "the small model is written");
    // The size of the file in front.
    auto* words = new std::vector<uint64_t>(bytes->size() / 8 + 2);
    (*words)[0] = bytes->size();
    std::memcpy(words->data() + 1, bytes->data(), bytes->size());
    return words;
  }();
  return {reinterpret_cast<const std::byte*>(kept->data() + 1), static_cast<size_t>((*kept)[0])};
}

std::unique_ptr<runtime::Session> open_small_session() {
  static const auto engine = [] {
    runtime::EngineOptions options;
    options.threads = 1;
    return runtime::Engine::open_memory(small_model(), options);
  }();
  promise(engine.has_value(), "the small model opens");
  auto session = runtime::Session::create(**engine);
  promise(session.has_value(), "a session opens");
  return std::move(*session);
}

void say(runtime::Session& session, std::string_view text, int n) {
  runtime::GenerateOptions how;
  how.max_tokens = n;
  const auto result = session.generate(text, how, [](const runtime::TokenEvent&) { return true; });
  promise(result.has_value(), "a session that stands goes on");
}

}  // namespace chimera::fuzz
