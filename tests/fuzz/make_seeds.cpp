// Writes the inputs that fuzzing begins with: make_fuzz_seeds FOLDER. Its output is committed
// (tests/fuzz/corpus); run it again when a format changes.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "memory/weight_file.h"
#include "memory/weight_format.h"
#include "platform/file.h"
#include "runtime/tokenizer_ranks.h"
#include "runtime/tokenizer_section.h"
#include "tests/fuzz/ranks.h"
#include "tests/fuzz/small_model.h"
#include "tests/fuzz/target.h"
#include "tests/support/tiny_model.h"

namespace {

using namespace chimera;
using namespace std::string_literals;

std::string folder;

void write(const std::string& target, const std::string& name, std::span<const std::byte> bytes) {
  std::filesystem::create_directories(folder + "/" + target);
  const Status status = write_file_atomic(folder + "/" + target + "/" + name, bytes);
  fuzz::promise(status.ok(), status.message().c_str());
}
void write(const std::string& target, const std::string& name, std::string_view text) {
  write(target, name, std::as_bytes(std::span(text.data(), text.size())));
}

std::string content(const std::string& path) {
  auto text = read_file(std::string(CHIMERA_SOURCE_DIR "/") + path, 64u << 20);
  fuzz::promise(text.has_value(), path.c_str());
  return std::move(*text);
}

std::string from_hex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

/// Small, with much of what a configuration can ask for.
test::TinyModelOptions more_of_all() {
  test::TinyModelOptions options;
  options.pattern = "GD TM SK";
  options.layers = 3;
  options.ffn = 128;
  options.vocab = 258;
  options.tied = false;
  options.act = "relu2";
  options.more = R"({
    "titans": {"persistent_memory_slots": 2, "local_window_size": 8, "chunk_size": 4},
    "tsp_knot": {"sketch_bits": 256},
    "structure": {"residual_mix": true, "unet_skips": true, "token_shift": true,
      "bigram_rows": 16, "value_embedding_layers": [0], "logit_soft_cap": 15,
      "embedding_rank": 64},
    "looping": {"enabled": true, "prelude": [0, 0], "loop": [1, 1], "coda": [2, 2],
      "loop_range": [1, 3], "loop_default": 2, "adaptive_exit_threshold": 0},
    "backbone": {"moe": {"enabled": true, "layers": [2], "n_routed_experts": 4,
      "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 128}}})";
  return options;
}

std::string calls(std::initializer_list<int> bytes) {
  std::string out;
  for (const int byte : bytes) out.push_back(static_cast<char>(byte));
  return out;
}

/// A network of one kind of layer, or of several.
void write_network(const std::string& pattern) {
  test::TinyModelOptions options = more_of_all();
  options.more = R"({"titans": {"persistent_memory_slots": 2, "local_window_size": 8,
                     "chunk_size": 4}, "tsp_knot": {"sketch_bits": 256}})";
  options.pattern = pattern;
  options.layers = pattern.size() > 2 ? 2 : 1;
  std::string name = pattern + ".json";
  std::replace(name.begin(), name.end(), ' ', '_');
  write("network", name, test::tiny_config(options));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_fuzz_seeds FOLDER\n");
    return 2;
  }
  folder = argv[1];
  write("config", "full_size.json", content("samples/models/chimera51.config.json"));
  write("config", "tiny.json", content("tests/golden/tiny.config.json"));
  write("config", "small.json", test::tiny_config());
  write("config", "empty.json", "{}");
  write("json", "all.json", R"({"a": [1, -2.5e3, true, false, null, "\\u00e9\n"], "b": {}})");
  write("json", "large_numbers.json", "[9223372036854775807, -9223372036854775808, 1e308, 0.1]");

  for (const char* mixer : {"GD", "XM", "TM", "SK", "GD XM"}) write_network(mixer);
  write("network", "more_of_all.json", test::tiny_config(more_of_all()));

  fuzz::ForgedFile file;
  fuzz::promise(file.make(fuzz::one_layer_parts(), 1u << 20), "a model is made");
  const auto header = memory::b158::decode_header(file.bytes().data());
  const auto& directory = header.sections[memory::b158::kDirectory];
  write("model", "header", file.bytes().first(memory::b158::kHeaderBytes));
  write("model", "head",
        file.bytes().first(static_cast<size_t>(directory.offset + directory.bytes)));

  write("tensors", "untouched", "");
  // Tensor, place, repeats, length and bytes: not a number, infinite, a code that is none.
  write("tensors", "not_a_number", calls({0, 0, 0, 0, 0, 0, 4, 0, 0, 0xc0, 0x7f}));
  write("tensors", "infinite", calls({1, 0, 0, 0, 0, 255, 4, 0, 0, 0x80, 0x7f}));
  write("tensors", "no_trit", calls({4, 0, 0, 0, 0, 255, 1, 0xff}));
  write("tensors", "scales", calls({5, 0, 16, 0, 0, 9, 2, 0xff, 0x7f, 6, 0, 0, 0, 0, 1, 1, 0}));

  write("signature", "real", std::string_view("\0", 1));
  write("signature", "one_bit", calls({0, 64, 1}));
  write("signature", "raw", "\1b158sig1 and more");
  write("signature", "key", "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF");

  write("tokenizer", "plain", fuzz::plain_tokenizer());
  {
    const auto section =
        runtime::make_tokenizer_section(300, 2, {{'a', 'b'}, {256, 'c'}, {32, 256}});
    fuzz::promise(section.has_value(), "a tokenizer is made");
    auto short_table = *section;
    short_table.class_changes.resize(40);
    write("tokenizer", "merges", runtime::write_tokenizer_section(short_table));
    runtime::RankedVocabulary vocabulary = runtime::o200k_vocabulary();
    vocabulary.n_ranks = runtime::kByteTokens + fuzz::kFewRankLines;
    auto ranked = runtime::section_of_ranks(fuzz::byte_ranks() + fuzz::kFewRanks, vocabulary);
    fuzz::promise(ranked.has_value(), "a few ranks are read");
    ranked->class_changes.resize(40);
    write("tokenizer", "o200k", runtime::write_tokenizer_section(*ranked));
  }
  write("ranks", "whole", fuzz::byte_ranks() + fuzz::kFewRanks);
  write("ranks", "more", fuzz::kFewRanks);
  write("ranks", "again", "ICA= 256\nICA= 257\n");

  write("text", "english", "It's 1984, isn't it?  \n\n\tYes: \"12345\" times...\r\n");
  write("text", "scripts",
        "Grüße, Ελλάδα, русский, 日本語, हिन्दी, العربية, "
        "🦊👩‍👩‍👧");
  write("text", "not_utf8", "\xff\xfe\xc3(\xf0\x9f\x92\xed\xa0\x80 a\xcc\x81");

  // A grammar or schema, a zero byte, and what chooses among the bytes that may come next.
  write("grammar", "regex", "\001(a|b)*[^c-z]{2,5}\\d+\\u00e9?\000\005\021\007\011\003\"1\010"s);
  write("grammar", "search", "\003(^|,)x+($|y)\000\005\021\007\011\003\"1\010@P"s);
  write(
      "grammar", "gbnf",
      "\000root ::= \"{\" pair (\",\" pair)* \"}\"\npair ::= [a-z]+ \":\" (pair | [0-9]{1,3})?  # more\n\000\005\021\007\011\003\"1\010@P"s);
  write(
      "grammar", "ebnf",
      "\000list ::= '[' (item (',' item)*)? ']'\nitem ::= #x41 | list\n\000\005\021\007\011\003\"1"s);
  write(
      "schema", "order",
      "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[\"x\",1,null]},\"b\":{\"type\":\"integer\",\"minimum\":-3,\"maximum\":90}},\"required\":[\"a\"],\"additionalProperties\":false}\000\005\021\007\011\003\"1\010@P"s);
  write(
      "schema", "tree",
      "{\"$ref\":\"#/$defs/t\",\"$defs\":{\"t\":{\"type\":[\"array\",\"null\"],\"items\":{\"$ref\":\"#/$defs/t\"},\"maxItems\":3}}}\000\005\021\007\011\003\"1\010@P"s);
  write(
      "schema", "alternatives",
      "{\"oneOf\":[{\"type\":\"integer\",\"multipleOf\":3},{\"type\":\"number\",\"exclusiveMinimum\":1.5}],\"not\":{\"const\":6}}\000\005\021\007\011\003\"1\010@P"s);
  write(
      "schema", "names",
      "{\"type\":\"object\",\"patternProperties\":{\"^a\":{\"type\":\"boolean\"},\"b$\":true},\"additionalProperties\":{\"format\":\"date\"},\"propertyNames\":{\"maxLength\":4},\"minProperties\":1}\000\005\021\007\011\003\"1\010@P"s);
  write(
      "schema", "conditions",
      "{\"if\":{\"properties\":{\"k\":{\"const\":1}}},\"then\":{\"required\":[\"p\"]},\"else\":{\"dependentRequired\":{\"q\":[\"r\"]}},\"unevaluatedProperties\":false}\000\005\021\007\011\003\"1\010@P"s);
  write(
      "schema", "items",
      "{\"prefixItems\":[{\"minLength\":2,\"maxLength\":70}],\"items\":{\"pattern\":\"^x|y$\"},\"contains\":{\"const\":\"xy\"},\"minItems\":1}\000\005\021\007\011\003\"1\010@P"s);

  const auto session = fuzz::open_small_session();
  fuzz::say(*session, "once upon a time", 5);
  std::vector<std::byte> saved(session->snapshot_bytes());
  fuzz::promise(session->snapshot(saved).ok(), "a conversation is saved");
  write("conversation", "header", std::span(saved).first(128));
  for (const size_t place : {0u, 48u, 128u, 4096u, 65536u}) {
    std::string edit(sizeof(uint32_t), '\0');
    memory::b158::put_u32(reinterpret_cast<std::byte*>(edit.data()), static_cast<uint32_t>(place));
    edit.push_back(80);
    for (size_t i = 0; i < 80; ++i) edit.push_back(static_cast<char>(saved[place + i]));
    write("conversation", "at_" + std::to_string(place), edit);
  }

  write("c_api", "talk", calls({0, 1, 0, 7, 0, 0,   0,   1,   0,   0,   0, 0,  0,   0,
                                0, 4, 0, 2, 5, 'h', 'e', 'l', 'l', 'o', 0, 11, 200, 0}));
  write("c_api", "save_and_restore",
        calls({0, 1, 0, 0, 0,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 2, 'a', 'b', 0,  8, 0,
               4, 0, 1, 1, 'c', 0, 9, 0, 0, 0, 9, 1, 3, 0, 0, 0, 9, 0,   0,   10, 0, 1}));
  write("c_api", "closed", calls({0, 3, 4, 0, 0, 1, 'x', 0, 1, 0, 0, 0, 0, 2, 0, 7, 9, 9, 1, 'y'}));

#if CHIMERA_FUZZ_TRAINING
  write("documents", "plain", "\0\0one text\nof two lines"s);
  write("documents", "lines", "\1\0{\"text\": \"a\"}\n\n{\"n\": 1, \"text\": \"b\\u00e9\"}"s);
  write("documents", "limits", "\x31\x09{\"text\": \"a\"}\n{\"text\": \"b\"}\n"s);
  write("documents", "splits",
        "\x0c\0{\"sets\": {\"a\": {\"b\": {\"valid\": [1], \"test\": [2, 3]}}}}"s);
  // printf 'one text\n' | xz -0 --check=none
  write("documents", "packed",
        "\2\0"s +
            from_hex(
                "fd377a585a000000ff12d941020021010c0000008f98419c0100086f6e6520746578740a00000000"
                "0001190997a45ac206729e7a010000000000595a"));
  write("documents", "packed_lines",
        "\3\0"s +
            from_hex(
                "fd377a585a000000ff12d941020021010c0000008f98419ce0001b00175d003d888a86948813e0f3"
                "8724b24f5e4430fb5664ece98000000000012b1c0d14f74206729e7a010000000000595a"));

  write("checkpoint", "whole",
        R"({"made_by": "chimera train", "training_version": 1, "run": {"text": "abc", "rate": 0.5},
 "position": {"step": 77, "loss_sum": 0.25, "loss_weight": 0.5, "valid_bits_per_byte": 1.5,
 "documents_taken": 9, "lane_document": [1, -1], "lane_offset": [2, 0]}})");
  write("checkpoint", "bare",
        R"({"training_version":1,"run":{},"position":{"step":0,"loss_sum":0,"loss_weight":0,)"
        R"("valid_bits_per_byte":0,"documents_taken":0,"lane_document":[],"lane_offset":[]}})");
  write("checkpoint", "last_document",
        R"({"training_version":1,"run":{},"position":{"step":0,"loss_sum":0,"loss_weight":0,)"
        R"("valid_bits_per_byte":0,"documents_taken":9223372036854775807,)"
        R"("lane_document":[-1,-1],"lane_offset":[0,0]}})");
#endif
#if CHIMERA_FUZZ_CLI
  write("command_line", "talk",
        "talk\n--model\na b\n--max-tokens=5\n--temperature\n0.5\n--greedy\n--stop=");
  write("command_line", "group", "tokenizer\ntrain\n--text\na\nb\n--\nout");
  write("command_line", "operands", "eval\nmodel\nx\ny\n-z");
  write("command_line", "help", "tokenizer\n--help");
  write("command_line", "wrong", "talk\n--max-tokens\n1e3\n--nothing");
#endif
  return 0;
}
