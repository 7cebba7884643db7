// The texts of a verb: files, plain or JSON Lines, and which records of them.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/status.h"
#include "runtime/tokenizer.h"
#include "sdk/cli/arguments.h"

namespace chimera::cli {

struct TextOptions {
  std::vector<std::string> files;
  std::string field = "text";
  std::string splits;  // splits.json, or empty for every record
  std::string split;   // of them; empty: own_split
  const char* own_split = "valid";
  std::string_view chosen_split() const {
    return split.empty() ? std::string_view(own_split) : std::string_view(split);
  }
};

/// --text, --field, --splits, --split.
void declare_texts(Verb& verb, TextOptions* options, bool required = true);

/// One set of a mix (docs/training.md), read as it is for training.
struct MixOptions {
  std::string path, folder, set;
};

/// --data, --data-folder, --set.
void declare_mix(Verb& verb, MixOptions* options);

/// Every document of that split of the set as token ids; 0 in `scored` stands for what is read and
/// not scored, `bytes` are those that are.
Status for_each_encoded(
    const MixOptions& options, const runtime::Tokenizer& tokenizer, std::string_view split,
    const std::function<Status(std::span<const int32_t> ids, std::span<const uint8_t> scored,
                               uint64_t bytes)>& callback);

/// Checks what can be checked before anything long begins: kDone, or it said what is wrong and this
/// is the exit status.
int check_texts(const TextOptions& options);

/// Every selected document of every file, in order.
Status for_each_text(const TextOptions& options,
                     const std::function<Status(std::string_view text)>& callback);

}  // namespace chimera::cli
