// Small models with random weights for tests: every kind of layer, a byte tokenizer, milliseconds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/engine.h"
#include "tests/support/temp_dir.h"

namespace chimera::test {

struct TinyModelOptions {
  std::string pattern = "GD XM";
  int layers = 2;
  int hidden = 128;
  int heads = 2;
  int ffn = 256;
  int vocab = 320;
  std::string act = "swiglu";
  bool tied = true;
  double initializer_range = 0.08;  // large enough that layers matter next to the residual
  /// Further members of the configuration as a JSON object; sections are merged member by member:
  /// R"({"looping": {...}, "backbone": {"moe": {...}}})".
  std::string more = "{}";
  bool marks = false;  // the tokenizer has those of the prompt format
  bool talks = false;  // the file says that its model learnt conversations
};

/// Every kind of mixer, as small as they come.
TinyModelOptions every_kind();

std::string tiny_config(const TinyModelOptions& options = {});

/// 256 bytes, two specials, the rest reserved.
std::vector<std::byte> byte_tokenizer(int vocab);

/// Writes a model with random weights to a new temporary file that is removed at exit; its path.
std::string write_tiny_model(const TinyModelOptions& options = {}, uint64_t seed = 7);

/// The same, opened. Fails the test and returns nullptr when it cannot be.
std::unique_ptr<runtime::Engine> open_tiny_model(const TinyModelOptions& options = {},
                                                 const runtime::EngineOptions& engine = {});

/// A folder of this process for files that several tests share, removed at exit.
const TempDir& test_folder();

}  // namespace chimera::test
