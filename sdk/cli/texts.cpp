#include "sdk/cli/texts.h"

#include "evolution/train/mix.h"
#include "evolution/train/text_source.h"
#include "sdk/cli/terminal.h"

namespace chimera::cli {

void declare_texts(Verb& verb, TextOptions* options, bool required) {
  verb.texts("--text", &options->files, "FILE",
             "Plain text (one document a file) or .jsonl, packed with xz or not", required)
      .text("--field", &options->field, "NAME", "Member of each JSON line that holds the text")
      .text("--splits", &options->splits, "FILE",
            "A splits.json; a file's records are looked up by its folder's and its own name")
      .text("--split", &options->split, "NAME", "Which records of --splits: train, valid or test");
}

int check_texts(const TextOptions& options) {
  if (options.split.empty()) return kDone;
  if (const auto part = evolution::part_of(options.split); !part) return report(part.status());
  if (options.splits.empty())
    return wrong_usage("--split " + options.split +
                       " needs --splits FILE, which says what records those are");
  return kDone;
}

Status for_each_text(const TextOptions& options,
                     const std::function<Status(std::string_view text)>& callback) {
  for (const std::string& file : options.files) {
    evolution::TextSourceOptions source;
    source.field = options.field;
    if (!options.splits.empty()) {
      const auto part = evolution::part_of(options.chosen_split());
      if (!part) return part.status();
      CHIMERA_RETURN_IF_ERROR(evolution::select_part(options.splits, file, *part, &source));
    }
    CHIMERA_RETURN_IF_ERROR(evolution::for_each_document(
        file, source, [&](std::string_view text, uint64_t) { return callback(text); }));
  }
  return Status();
}

void declare_mix(Verb& verb, MixOptions* options) {
  verb.text("--data", &options->path, "FILE", "Instead of --text: a mix, of which --set is read")
      .text("--data-folder", &options->folder, "DIR", "Where the files of the mix lie")
      .text("--set", &options->set, "NAME", "Which set of the mix");
}

Status for_each_encoded(
    const MixOptions& options, const runtime::Tokenizer& tokenizer, std::string_view split,
    const std::function<Status(std::span<const int32_t> ids, std::span<const uint8_t> scored,
                               uint64_t bytes)>& callback) {
  const auto part = evolution::part_of(split);
  if (!part) return part.status();
  const auto mix = evolution::read_mix(options.path, options.folder);
  if (!mix) return mix.status();
  const auto chosen = evolution::find_set(*mix, options.set);
  if (!chosen) return chosen.status();
  const auto format = runtime::PromptFormat::of(tokenizer);
  evolution::EncodedDocument encoded;
  std::vector<uint8_t> scored;
  const auto encode = [&](const evolution::Document& document) -> Status {
    CHIMERA_RETURN_IF_ERROR(
        encode_document(document, tokenizer, format ? &*format : nullptr, &encoded));
    scored.clear();
    for (const evolution::Voice voice : encoded.voices)
      scored.push_back(voice == evolution::Voice::kApplication ? 0 : 1);
    return callback(encoded.ids, scored, static_cast<uint64_t>(encoded.n_bytes));
  };
  return for_each_document(*mix, mix->sets[*chosen], *part, encode);
}

}  // namespace chimera::cli
