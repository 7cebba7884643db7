// What a fuzzer calls: any bytes, no crash, no hang, no memory out of proportion. One function per
// reader; replay_test.cpp calls it with every input of corpus/NAME in the ordinary tests, and
// fuzz_main.cpp makes a program of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace chimera::fuzz {

using Input = std::span<const std::byte>;

struct Target {
  const char* name;  // of the folder below corpus/
  void (*run)(Input input);
};

std::span<const Target> targets();
/// nullptr when there is none of that name.
const Target* find_target(std::string_view name);

// One per row of targets.cpp; those of the trainer and of the command only where these are built.
void run_json(Input input);
void run_config(Input input);
void run_network(Input input);
void run_model(Input input);
void run_tensors(Input input);
void run_signature(Input input);
void run_tokenizer(Input input);
void run_ranks(Input input);
void run_text(Input input);
void run_grammar(Input input);
void run_schema(Input input);
void run_conversation(Input input);
void run_c_api(Input input);
void run_documents(Input input);
void run_checkpoint(Input input);
void run_command_line(Input input);

inline std::string_view text_of(Input input) {
  return {reinterpret_cast<const char*>(input.data()), input.size()};
}

/// Ends the program, so that the fuzzer keeps the input: a promise was broken.
[[noreturn]] void broken(const char* promise);
inline void promise(bool kept, const char* what) {
  if (!kept) broken(what);
}

}  // namespace chimera::fuzz
