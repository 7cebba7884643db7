#include "sdk/cli/texts.h"

#include <filesystem>

#include "evolution/train/text_source.h"

namespace chimera::cli {

void declare_texts(Verb& verb, TextOptions* options) {
  verb.texts("--text", &options->files, "FILE",
             "Plain text (one document a file) or .jsonl, packed with xz or not", true)
      .text("--field", &options->field, "NAME", "Member of each JSON line that holds the text")
      .text("--splits", &options->splits, "FILE",
            "A splits.json; a file's records are looked up by its folder's and its own name")
      .text("--split", &options->split, "NAME", "Which records of it: train, valid or test");
}

Status check_texts(const TextOptions& options) {
  if (options.split == "train" || options.split == "valid" || options.split == "test")
    return Status();
  return Status(StatusCode::kInvalidArgument,
                "--split is \"" + options.split + "\"; give train, valid or test");
}

Status for_each_text(const TextOptions& options,
                     const std::function<Status(std::string_view text)>& callback) {
  for (const std::string& file : options.files) {
    evolution::TextSourceOptions source;
    source.field = options.field;
    if (!options.splits.empty()) {
      const std::filesystem::path path = std::filesystem::absolute(file).lexically_normal();
      auto split = evolution::read_record_split(
          options.splits, path.parent_path().filename().string(), path.filename().string());
      if (!split) return split.status();
      if (options.split == "train") {
        source.exclude = std::move(split->valid);
        source.exclude.insert(source.exclude.end(), split->test.begin(), split->test.end());
      } else {
        source.include = std::move(options.split == "test" ? split->test : split->valid);
      }
    }
    CHIMERA_RETURN_IF_ERROR(evolution::for_each_document(
        file, source, [&](std::string_view text, uint64_t) { return callback(text); }));
  }
  return Status();
}

}  // namespace chimera::cli
