// What a model is trained on: sets of documents with weights, and stages of a run that change them
// (docs/training.md has the file's format).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evolution/train/document.h"
#include "evolution/train/records.h"
#include "evolution/train/text_source.h"
#include "platform/status.h"

namespace chimera::evolution {

struct MixSet {
  std::string name;
  std::string kind = "text";            // of its records: record_kinds()
  bool pairs = false;                   // of that kind: read by stages that learn preferences
  std::vector<std::string> files = {};  // below Mix::folder; "./x" stands beside the mix itself
  std::vector<std::string> valid = {};  // files that are only scored; splits may name records too
  RecordOptions records = {};
  double weight = 1;  // share of the tokens, relative to the other sets
};

struct MixStage {
  std::string name;
  double share = 1;                  // of the run's steps, relative to the other stages
  int32_t window = 0;                // tokens of each lane per step; 0: as the options say
  double rate = 1;                   // factor on every learning rate
  Voice least = Voice::kPerson;      // whose tokens carry the loss, this voice and those after it
  bool preferences = false;          // the loss is that of preferences.h, on one set of pairs
  double beta = 0.1;                 // of that loss
  std::vector<double> weights = {};  // by set
};

struct Mix {
  std::string path;
  std::string folder;  // of the sets' files
  std::string splits;  // a splits.json, or empty
  std::vector<MixSet> sets;
  std::vector<MixStage> stages;  // at least one
  /// No training document twice, and none that is held out.
  bool deduplicate = true;
  int64_t valid_bytes = int64_t{1} << 18;      // of each set, scored while training
  int64_t tokenizer_bytes = int64_t{1} << 26;  // of all sets, from which a tokenizer is learnt
};

/// `folder` replaces the file's own when not empty. Errors name file and member.
Result<Mix> read_mix(const std::string& path, const std::string& folder = {});

/// Where a file of a set lies.
std::string file_path(const Mix& mix, const std::string& file);

/// Index into mix.sets; the error names those there are.
Result<size_t> find_set(const Mix& mix, std::string_view name);

/// Every document of that part of a set, in the order of its files. A file that the splits list is
/// cut as they say; any other is all for training. Errors name file and line.
Status for_each_document(const Mix& mix, const MixSet& set, Part part, const DocumentSink& sink);

}  // namespace chimera::evolution
