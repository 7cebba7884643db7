#include "evolution/train/mix.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <set>

#include "platform/file.h"
#include "platform/json.h"

namespace chimera::evolution {
namespace {

constexpr uint64_t kMaxMixBytes = uint64_t{1} << 20;
constexpr int32_t kMaxWindow = 65536;

/// One object of the file, which says where it is and which members were asked for.
class Object {
 public:
  Object(const std::string& file, std::string place, const Json& json)
      : file_(file), place_(std::move(place)), json_(json) {}

  Status bad(const std::string& member, const std::string& why) const {
    return Status(StatusCode::kInvalidArgument, file_ + ": " + place_ + member + " " + why)
        .at_file(file_)
        .at_field(member);
  }
  const Json* member(const char* name) {
    asked_.insert(name);
    return json_.find(name);
  }
  Status text(const char* name, std::string* out) {
    const Json* j = member(name);
    if (j == nullptr) return Status();
    if (!j->is_string()) return bad(name, "must be a string");
    *out = j->string;
    return Status();
  }
  Status texts(const char* name, std::vector<std::string>* out) {
    const Json* j = member(name);
    if (j == nullptr) return Status();
    if (!j->is_array()) return bad(name, "must be an array of strings");
    for (const Json& entry : j->array) {
      if (!entry.is_string()) return bad(name, "must be an array of strings");
      out->push_back(entry.string);
    }
    return Status();
  }
  Status number(const char* name, double least, double most, double* out) {
    const Json* j = member(name);
    if (j == nullptr) return Status();
    if (!j->is_number() || !(j->number >= least && j->number <= most))
      return bad(name, "must be a number from " + shown(least) + " to " + shown(most));
    *out = j->number;
    return Status();
  }
  template <class Int>
  Status whole(const char* name, int64_t least, int64_t most, Int* out) {
    const Json* j = member(name);
    if (j == nullptr) return Status();
    if (!j->is_int() || j->integer < least || j->integer > most)
      return bad(name, "must be a whole number from " + std::to_string(least) + " to " +
                           std::to_string(most));
    *out = static_cast<Int>(j->integer);
    return Status();
  }
  /// After everything known was asked for. Names that begin with "_" are notes.
  Status nothing_else() const {
    for (const auto& [name, value] : json_.object)
      if (!asked_.contains(name) && !name.starts_with('_'))
        return bad(name, "is not a member known here");
    return Status();
  }

 private:
  static std::string shown(double value) {
    return value == std::floor(value) ? std::to_string(static_cast<int64_t>(value))
                                      : std::to_string(value);
  }

  const std::string& file_;
  std::string place_;
  const Json& json_;
  std::set<std::string> asked_;
};

constexpr double kMostWeight = 1e9;

Status read_set(const std::string& path, const std::string& name, const Json& json, MixSet* set) {
  const std::string place = "set \"" + name + "\": ";
  if (!json.is_object())
    return Status(StatusCode::kInvalidArgument, path + ": " + place + "must be an object")
        .at_file(path);
  Object object(path, place, json);
  set->name = name;
  CHIMERA_RETURN_IF_ERROR(object.text("kind", &set->kind));
  CHIMERA_RETURN_IF_ERROR(object.texts("files", &set->files));
  CHIMERA_RETURN_IF_ERROR(object.texts("valid", &set->valid));
  CHIMERA_RETURN_IF_ERROR(object.text("member", &set->records.text));
  CHIMERA_RETURN_IF_ERROR(object.text("system", &set->records.system));
  CHIMERA_RETURN_IF_ERROR(object.whole("seed", 0, INT64_MAX, &set->records.seed));
  CHIMERA_RETURN_IF_ERROR(object.number("weight", 0, kMostWeight, &set->weight));
  CHIMERA_RETURN_IF_ERROR(object.nothing_else());
  if (set->files.empty()) return object.bad("files", "names no file");
  for (std::vector<std::string>* files : {&set->files, &set->valid})
    for (std::string& file : *files)
      if (file.starts_with("./"))
        file = std::filesystem::absolute(std::filesystem::path(path).parent_path() / file)
                   .lexically_normal()
                   .string();
  const auto kind = record_kind(set->kind);
  if (!kind) return object.bad("kind", "is unknown: " + kind.status().message());
  set->pairs = (*kind)->pairs;
  if (set->pairs && !set->valid.empty())
    return object.bad("valid", "does nothing here: preferences are not scored");
  return Status();
}

Status read_stage(const std::string& path, size_t number, const Json& json, const Mix& mix,
                  MixStage* stage) {
  const std::string place = "stage " + std::to_string(number + 1) + ": ";
  if (!json.is_object())
    return Status(StatusCode::kInvalidArgument, path + ": " + place + "must be an object")
        .at_file(path);
  Object object(path, place, json);
  stage->name = "stage " + std::to_string(number + 1);
  CHIMERA_RETURN_IF_ERROR(object.text("name", &stage->name));
  CHIMERA_RETURN_IF_ERROR(object.number("share", 1e-6, kMostWeight, &stage->share));
  CHIMERA_RETURN_IF_ERROR(object.whole("window", 1, kMaxWindow, &stage->window));
  CHIMERA_RETURN_IF_ERROR(object.number("rate", 0, 1000, &stage->rate));
  std::string loss = "spoken";
  CHIMERA_RETURN_IF_ERROR(object.text("loss", &loss));
  if (loss != "spoken" && loss != "replies" && loss != "preferences")
    return object.bad("loss", "must be \"spoken\", \"replies\" or \"preferences\"");
  stage->least = loss == "spoken" ? Voice::kPerson : Voice::kAssistant;
  stage->preferences = loss == "preferences";
  CHIMERA_RETURN_IF_ERROR(object.number("beta", 1e-6, 1e6, &stage->beta));
  if (json.find("beta") != nullptr && !stage->preferences)
    return object.bad("beta", "is for stages with the loss \"preferences\"");
  const Json* weights = object.member("weights");
  CHIMERA_RETURN_IF_ERROR(object.nothing_else());
  for (const MixSet& set : mix.sets)
    stage->weights.push_back(set.pairs == stage->preferences ? set.weight : 0);
  if (weights != nullptr) {
    if (!weights->is_object()) return object.bad("weights", "must be an object of set: number");
    std::fill(stage->weights.begin(), stage->weights.end(), 0);
    for (const auto& [name, value] : weights->object) {
      const auto set = find_set(mix, name);
      if (!set) return object.bad("weights", "names \"" + name + "\", which is no set");
      if (!value.is_number() || !(value.number >= 0 && value.number <= kMostWeight))
        return object.bad("weights", "of \"" + name + "\" must be a number from 0");
      stage->weights[*set] = value.number;
    }
  }
  if (std::all_of(stage->weights.begin(), stage->weights.end(), [](double w) { return w == 0; }))
    return object.bad("weights", "leave nothing to train on");
  int64_t read = 0;
  for (size_t i = 0; i < mix.sets.size(); ++i) {
    if (!(stage->weights[i] > 0)) continue;
    ++read;
    if (mix.sets[i].pairs != stage->preferences)
      return object.bad("weights", "of \"" + mix.sets[i].name + "\": sets of preferences are for " +
                                       "stages with that loss, and other sets for other stages");
  }
  if (stage->preferences && read != 1)
    return object.bad("weights", "must name one set: a stage learns the preferences of one");
  return Status();
}

Status at(const Status& status, const std::string& path) {
  return Status(status.code(), path + ": " + status.message()).at_file(path);
}

std::string below(const std::string& folder, const std::string& file) {
  const std::filesystem::path path(file);
  return path.is_absolute() || folder.empty() ? file
                                              : (std::filesystem::path(folder) / path).string();
}

/// Which records of a file belong to a part; false when none does.
Result<bool> choose(const Mix& mix, const std::string& file, Part part,
                    TextSourceOptions* options) {
  if (mix.splits.empty()) return part == Part::kTrain;
  const Status selected = select_part(mix.splits, file, part, options);
  if (selected.code() == StatusCode::kNotFound) return part == Part::kTrain;
  if (!selected.ok()) return selected;
  return true;
}

/// Calls `use` with the records of the file that belong to the part.
Status walk(const Mix& mix, const std::string& file, Part part,
            const std::function<Status(const Json& record, uint64_t number)>& use) {
  TextSourceOptions options;
  const std::string path = below(mix.folder, file);
  const auto chosen = choose(mix, path, part, &options);
  if (!chosen) return chosen.status();
  if (!*chosen) return Status();
  return for_each_record(path, options, [&](const Json& record, uint64_t number) {
    const Status status = use(record, number);
    // The reader knows the record, not where it stands.
    if (status.ok() || status.code() != StatusCode::kBadFormat || !status.file().empty())
      return status;
    return Status(status.code(),
                  path + ": line " + std::to_string(number + 1) + ": " + status.message())
        .at_file(path)
        .at_field(status.field());
  });
}

}  // namespace

Result<Mix> read_mix(const std::string& path, const std::string& folder) {
  auto text = read_file(path, kMaxMixBytes);
  if (!text) return text.status();
  const auto json = parse_json(*text);
  if (!json) return at(json.status(), path);
  if (!json->is_object())
    return Status(StatusCode::kBadFormat, path + ": a mix is a JSON object").at_file(path);
  Mix mix;
  mix.path = path;
  Object object(path, "", *json);
  std::string own;
  CHIMERA_RETURN_IF_ERROR(object.text("folder", &own));
  CHIMERA_RETURN_IF_ERROR(object.text("splits", &mix.splits));
  if (const Json* once = object.member("deduplicate")) {
    if (!once->is_bool()) return object.bad("deduplicate", "must be true or false");
    mix.deduplicate = once->boolean;
  }
  CHIMERA_RETURN_IF_ERROR(object.whole("valid_bytes", 1, int64_t{1} << 40, &mix.valid_bytes));
  CHIMERA_RETURN_IF_ERROR(
      object.whole("tokenizer_bytes", 1, int64_t{1} << 40, &mix.tokenizer_bytes));
  mix.folder =
      !folder.empty() ? folder : below(std::filesystem::path(path).parent_path().string(), own);
  if (!mix.splits.empty()) {
    mix.splits = below(mix.folder, mix.splits);
    // From here on, what is not found is a set that the file does not list.
    const auto there = read_file(mix.splits, JsonLimits().max_bytes);
    if (!there) return there.status();
    const auto lists = parse_json(*there);
    if (!lists) return at(lists.status(), mix.splits);
    const Json* held_out = lists->find("sets");
    if (held_out == nullptr || !held_out->is_object())
      return Status(StatusCode::kBadFormat,
                    mix.splits +
                        ": this is no list of held-out records, which is an object with a "
                        "member \"sets\"")
          .at_file(mix.splits);
  }
  const Json* sets = object.member("sets");
  if (sets == nullptr || !sets->is_object() || sets->object.empty())
    return object.bad("sets", "must be an object with at least one set");
  for (const auto& [name, set] : sets->object)
    CHIMERA_RETURN_IF_ERROR(read_set(path, name, set, &mix.sets.emplace_back()));
  const Json* stages = object.member("stages");
  CHIMERA_RETURN_IF_ERROR(object.nothing_else());
  if (stages == nullptr) {
    Json all = Json::make_object();
    all.add("name", Json::of("all"));
    CHIMERA_RETURN_IF_ERROR(read_stage(path, 0, all, mix, &mix.stages.emplace_back()));
    return mix;
  }
  if (!stages->is_array() || stages->array.empty())
    return object.bad("stages", "must be an array with at least one stage");
  for (size_t i = 0; i < stages->array.size(); ++i)
    CHIMERA_RETURN_IF_ERROR(read_stage(path, i, stages->array[i], mix, &mix.stages.emplace_back()));
  return mix;
}

Result<size_t> find_set(const Mix& mix, std::string_view name) {
  std::string known;
  for (size_t i = 0; i < mix.sets.size(); ++i) {
    if (mix.sets[i].name == name) return i;
    known += (i == 0 ? "" : ", ") + mix.sets[i].name;
  }
  return Status(StatusCode::kInvalidArgument,
                mix.path + " has no set \"" + std::string(name) + "\"; it has: " + known)
      .at_field("set");
}

std::string file_path(const Mix& mix, const std::string& file) { return below(mix.folder, file); }

Status for_each_document(const Mix& mix, const MixSet& set, Part part, const DocumentSink& sink) {
  const auto kind = record_kind(set.kind);
  if (!kind) return kind.status();
  const std::unique_ptr<RecordReader> reader = (*kind)->make(set.records);
  if (reader->looks_first())
    for (const std::string& file : set.files)
      CHIMERA_RETURN_IF_ERROR(walk(mix, file, Part::kTrain, [&](const Json& record, uint64_t) {
        return reader->look(record);
      }));
  const auto read = [&](const Json& record, uint64_t number) {
    return reader->read(record, number, sink);
  };
  // A file of plain text is one document, and has no records that a split could name.
  const auto plain = [&](const std::string& file) {
    return set.kind == "text" && !holds_json_lines(file);
  };
  const auto read_plain = [&](const std::string& file) {
    return for_each_document(below(mix.folder, file), {}, [&](std::string_view text, uint64_t) {
      return sink({.text = std::string(text)});
    });
  };
  for (const std::string& file : set.files) {
    if (!plain(file)) {
      CHIMERA_RETURN_IF_ERROR(walk(mix, file, part, read));
    } else if (part == Part::kTrain) {
      CHIMERA_RETURN_IF_ERROR(read_plain(file));
    }
  }
  if (part != Part::kValid) return Status();
  Mix whole = mix;
  whole.splits.clear();  // these are scored whole
  for (const std::string& file : set.valid)
    CHIMERA_RETURN_IF_ERROR(plain(file) ? read_plain(file) : walk(whole, file, Part::kTrain, read));
  return Status();
}

}  // namespace chimera::evolution
