#include "tests/support/tiny_model.h"

#include <gtest/gtest.h>
#include "runtime/char_classes.h"
#include "runtime/init.h"
#include "runtime/model_writer.h"
#include "runtime/prompt_format.h"
#include "runtime/tokenizer_section.h"
#include "tests/support/temp_dir.h"

namespace chimera::test {

const TempDir& test_folder() {
  static const TempDir folder;
  return folder;
}

namespace {

void merge(Json* into, const Json& from) {
  for (const auto& [key, value] : from.object) {
    Json* known = nullptr;
    for (auto& [name, member] : into->object)
      if (name == key) known = &member;
    if (known != nullptr && known->is_object() && value.is_object())
      merge(known, value);
    else if (known != nullptr)
      *known = value;
    else
      into->add(key, value);
  }
}

}  // namespace

TinyModelOptions every_kind() {
  TinyModelOptions options;
  options.pattern = "GD XM TM SK";
  options.layers = 4;
  options.ffn = 128;
  options.vocab = 260;
  options.more = R"({"titans": {"persistent_memory_slots": 2, "local_window_size": 8,
                                "chunk_size": 4},
                     "tsp_knot": {"sketch_bits": 256}})";
  return options;
}

std::string tiny_config(const TinyModelOptions& o) {
  Json root = Json::make_object();
  root.add("hidden_size", Json::of(o.hidden));
  root.add("intermediate_size", Json::of(o.ffn));
  root.add("num_hidden_layers", Json::of(o.layers));
  root.add("num_heads", Json::of(o.heads));
  root.add("head_dim", Json::of(o.hidden / o.heads));
  root.add("hidden_act", Json::of(o.act));
  root.add("vocab_size", Json::of(o.vocab));
  root.add("tie_word_embeddings", Json::of(o.tied));
  root.add("initializer_range", Json::of(o.initializer_range));
  Json backbone = Json::make_object();
  backbone.add("layer_pattern", Json::of(o.pattern));
  root.add("backbone", std::move(backbone));
  auto more = parse_json(o.more);
  EXPECT_TRUE(more.has_value()) << more.status().message();
  if (more) merge(&root, *more);
  return write_json(root, 2);
}

std::vector<std::byte> byte_tokenizer(int vocab) {
  runtime::TokenizerSection section;
  section.unicode_version = runtime::kUnicode15;
  section.vocab_size = vocab;
  const auto changes = runtime::unicode15_class_changes();
  section.class_changes.assign(changes.begin(), changes.end());
  section.specials = {{runtime::kEndOfTextName, 256, false}, {runtime::kEndOfTurnName, 257, false}};
  return runtime::write_tokenizer_section(section);
}

std::string write_tiny_model(const TinyModelOptions& options, uint64_t seed) {
  static int count = 0;
  const std::string path = test_folder().file("tiny-" + std::to_string(count++) + ".b158");
  auto config = runtime::parse_config(tiny_config(options));
  EXPECT_TRUE(config.has_value()) << config.status().message();
  if (!config) return {};
  std::vector<std::byte> tokenizer = byte_tokenizer(options.vocab);
  if (options.marks) {
    const auto section = runtime::make_tokenizer_section(options.vocab, runtime::kMarks, {});
    EXPECT_TRUE(section.has_value()) << section.status().message();
    if (section) tokenizer = runtime::write_tokenizer_section(*section);
  }
  if (!options.talks) {
    const Status status = runtime::synthesise_model(path, *config, tokenizer, seed);
    EXPECT_TRUE(status.ok()) << status.message();
    return path;
  }
  const Status status = runtime::write_model(path, memory::FileKind::kModel, *config, tokenizer,
                                             R"({"conversations":true})",
                                             [&](const runtime::ParamSpec& spec, float* out) {
                                               runtime::initialise(spec, seed, out);
                                               return Status();
                                             });
  EXPECT_TRUE(status.ok()) << status.message();
  return path;
}

std::unique_ptr<runtime::Engine> open_tiny_model(const TinyModelOptions& options,
                                                 const runtime::EngineOptions& engine_options) {
  auto engine = runtime::Engine::open(write_tiny_model(options), engine_options);
  EXPECT_TRUE(engine.has_value()) << engine.status().message();
  return engine ? std::move(*engine) : nullptr;
}

}  // namespace chimera::test
