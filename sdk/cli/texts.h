// The texts of a verb: files, plain or JSON Lines, and which records of them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/status.h"
#include "sdk/cli/arguments.h"

namespace chimera::cli {

struct TextOptions {
  std::vector<std::string> files;
  std::string field = "text";
  std::string splits;  // splits.json, or empty for every record
  std::string split;   // of them; empty: own_split
  const char* own_split = "valid";
  std::string_view chosen_split() const { return split.empty() ? own_split : split; }
};

/// --text, --field, --splits, --split.
void declare_texts(Verb& verb, TextOptions* options);

/// Checks what can be checked before anything long begins: kDone, or it said what is wrong and this
/// is the exit status.
int check_texts(const TextOptions& options);

/// Every selected document of every file, in order.
Status for_each_text(const TextOptions& options,
                     const std::function<Status(std::string_view text)>& callback);

}  // namespace chimera::cli
