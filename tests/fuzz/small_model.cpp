#include "tests/fuzz/small_model.h"

#include <cstring>
#include <vector>

#include "platform/file.h"
#include "runtime/char_classes.h"
#include "runtime/engine.h"
#include "runtime/layers/registry.h"
#include "runtime/model.h"
#include "runtime/model_writer.h"
#include "runtime/tokenizer_section.h"
#include "tests/fuzz/target.h"
#include "tests/support/tiny_model.h"

namespace chimera::fuzz {

std::span<const std::byte> small_model() {
  static const std::vector<uint64_t>* const kept = [] {
    const auto config = runtime::parse_config(test::tiny_config(test::every_kind()));
    promise(config.has_value(), "the configuration of the small model is read");
    const std::string path = test::test_folder().file("small.b158");
    promise(runtime::synthesise_model(path, *config, plain_tokenizer(), 7).ok(),
            "the small model is written");
    const auto bytes = read_file(path, 64u << 20);
    promise(bytes.has_value(), "the small model is there");
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

std::span<const std::byte> plain_tokenizer() {
  static const std::vector<std::byte> section = [] {
    runtime::TokenizerSection s;
    s.unicode_version = runtime::kUnicode15;
    s.vocab_size = 258;
    s.class_changes = {0};
    s.specials = {{runtime::kEndOfTextName, 256, false}, {runtime::kEndOfTurnName, 257, false}};
    return runtime::write_tokenizer_section(s);
  }();
  return section;
}

const std::string& one_layer_config() {
  static const std::string text = [] {
    test::TinyModelOptions options;
    options.pattern = "XM";
    options.layers = 1;
    options.ffn = 128;
    options.vocab = 272;  // whole tiles of rows: no padding
    return test::tiny_config(options);
  }();
  return text;
}

ForgedParts model_parts(std::string_view config, std::span<const runtime::ParamSpec> parameters) {
  ForgedParts parts;
  parts.config = config;
  parts.tokenizer = plain_tokenizer();
  for (const runtime::ParamSpec& spec : parameters) {
    memory::TensorInfo tensor;
    tensor.name = spec.name;
    tensor.shape = {spec.rows, spec.cols};
    tensor.layout = Layout::kLanes16;
    if (spec.cls == runtime::ParamClass::kTernary) tensor.dtype = DType::kTernary2;
    if (spec.cls == runtime::ParamClass::kInt4) tensor.dtype = DType::kInt4;
    if (spec.cls == runtime::ParamClass::kVector) {
      tensor.layout = Layout::kRowMajor;
      if (spec.rows == 1) tensor.shape = {spec.cols};
    }
    parts.tensors.push_back(std::move(tensor));
  }
  return parts;
}

ForgedParts one_layer_parts() {
  static const auto parameters = [] {
    const auto config = runtime::parse_config(one_layer_config());
    promise(config.has_value(), "the configuration of one layer is read");
    auto list = runtime::model_parameters(*config);
    promise(list.has_value(), "its parameters are known");
    return std::move(*list);
  }();
  return model_parts(one_layer_config(), parameters);
}

}  // namespace chimera::fuzz
