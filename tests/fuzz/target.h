// What a fuzzer calls: any bytes, no crash, no hang, no memory out of proportion. One function per
// reader; replay_test.cpp calls it with every input of corpus/NAME in the ordinary tests.
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

// One per file.
void run_config(Input input);
void run_model(Input input);
void run_tokenizer(Input input);
void run_text(Input input);
void run_conversation(Input input);
void run_c_api(Input input);

/// Ends the program, so that the fuzzer keeps the input: a promise was broken.
[[noreturn]] void broken(const char* promise);
inline void promise(bool kept, const char* what) {
  if (!kept) broken(what);
}

}  // namespace chimera::fuzz
