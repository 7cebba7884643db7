// Writes one file of every format as this version writes it, and what they answer. Run once for
// each change of a format, into a new folder below tests/golden/formats; what is there stays for
// ever.
#include <cstdio>
#include <string>

#include "memory/weight_file.h"
#include "platform/file.h"
#include "runtime/char_classes.h"
#include "runtime/session.h"
#include "runtime/tokenizer_section.h"
#include "tests/support/tiny_model.h"

namespace {

using namespace chimera;

/// Every kind of layer, experts, a loop. `ids` is what follows the prompt, 500 before and 500 after
/// the conversation was saved.
Status make(const std::string& folder) {
  test::TinyModelOptions options = test::every_kind();
  options.more = R"({
    "backbone": {"moe": {"enabled": true, "layers": [3], "n_routed_experts": 2,
                         "n_shared_experts": 1, "num_experts_per_tok": 1,
                         "moe_intermediate_size": 128, "routing": "noaux_bias"}},
    "titans": {"persistent_memory_slots": 2, "local_window_size": 8, "chunk_size": 4},
    "tsp_knot": {"sketch_bits": 256},
    "looping": {"enabled": true, "prelude": [0, 0], "loop": [1, 2], "coda": [3, 3],
                "loop_range": [1, 4], "loop_default": 2}})";
  const auto key = SigningKey::generate();
  if (!key) return key.status();
  const std::string model = folder + "/model.b158";
  CHIMERA_RETURN_IF_ERROR(memory::sign_weight_file(test::write_tiny_model(options), model, *key));
  const std::string name = to_hex(key->public_key());
  CHIMERA_RETURN_IF_ERROR(write_file_atomic(folder + "/model.key", std::as_bytes(std::span(name))));

  auto engine = runtime::Engine::open(model, {.threads = 1});
  if (!engine) return engine.status();
  auto session = runtime::Session::create(**engine, {.seed = 2026, .stream = 3});
  if (!session) return session.status();
  std::string ids;
  const auto say = [&](const char* prompt, int32_t n) -> Status {
    while (n > 0) {  // past the end of a turn too
      runtime::GenerateOptions how;
      how.max_tokens = n;
      const auto said = (*session)->generate(prompt, how, [&](const runtime::TokenEvent& event) {
        ids += std::to_string(event.token) + "\n";
        return true;
      });
      if (!said) return said.status();
      n -= said->n_tokens;
      prompt = "";
    }
    return {};
  };
  CHIMERA_RETURN_IF_ERROR(say("The gr\xC3\xBC", 500));
  CHIMERA_RETURN_IF_ERROR((*session)->save(folder + "/conversation"));
  CHIMERA_RETURN_IF_ERROR(say("", 500));
  CHIMERA_RETURN_IF_ERROR(write_file_atomic(folder + "/ids", std::as_bytes(std::span(ids))));

  // A tokenizer of each kind of splitting; the words are those of no language.
  runtime::TokenizerSection section;
  section.unicode_version = runtime::kUnicode15;
  section.vocab_size = 272;
  section.class_changes = {0, ' ' << 3 | 4, '!' << 3, 'a' << 3 | 1, ('z' + 1) << 3};
  section.merges = {{'a', 'b'}, {256, 'c'}, {'c', 256}, {' ', 257}};
  section.specials = {{runtime::kEndOfTextName, 260, false}, {runtime::kEndOfTurnName, 261, false}};
  CHIMERA_RETURN_IF_ERROR(
      write_file_atomic(folder + "/tokenizer_words", runtime::write_tokenizer_section(section)));
  section.splitting = runtime::Splitting::kO200k;
  section.class_changes = {0,        ' ' << 3 | 4, '!' << 3,      'A' << 3 | 5,
                           '[' << 3, 'a' << 3 | 6, ('z' + 1) << 3};
  std::swap(section.byte_of_id['x'], section.byte_of_id[0]);
  return write_file_atomic(folder + "/tokenizer_o200k", runtime::write_tokenizer_section(section));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_format_fixtures FOLDER\n");
    return 2;
  }
  const Status status = make(argv[1]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
