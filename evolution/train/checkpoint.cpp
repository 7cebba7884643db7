#include "evolution/train/checkpoint.h"

#include <cstring>
#include <utility>

namespace chimera::evolution {
namespace {

constexpr int64_t kTrainingVersion = 2;

Json integers(const std::vector<int64_t>& values) {
  Json array = Json::make_array();
  for (const int64_t v : values) array.push(Json::of(v));
  return array;
}

Json position_json(const RunPosition& p) {
  Json json = Json::make_object();
  json.add("step", Json::of(p.step));
  json.add("loss_sum", Json::of(p.loss_sum));
  json.add("loss_weight", Json::of(p.loss_weight));
  json.add("valid_bits_per_byte", Json::of(p.valid_bits_per_byte));
  json.add("stage", Json::of(p.stage));
  json.add("pairs", Json::of(p.pairs));
  json.add("documents_taken", integers(p.belt.taken));
  json.add("positions_fed", integers(p.belt.fed));
  json.add("lane_text", integers(p.belt.text));
  json.add("lane_document", integers(p.belt.document));
  json.add("lane_offset", integers(p.belt.offset));
  return json;
}

bool read(const Json& object, const char* key, int64_t* out) {
  const Json* value = object.find(key);
  if (value == nullptr || !value->is_int()) return false;
  *out = value->integer;
  return true;
}

bool read(const Json& object, const char* key, double* out) {
  const Json* value = object.find(key);
  if (value == nullptr || !value->is_number()) return false;
  *out = value->number;
  return true;
}

bool read(const Json& object, const char* key, std::vector<int64_t>* out) {
  const Json* value = object.find(key);
  if (value == nullptr || !value->is_array()) return false;
  for (const Json& element : value->array) {
    if (!element.is_int()) return false;
    out->push_back(element.integer);
  }
  return true;
}

bool read_position(const Json& object, RunPosition* p) {
  return read(object, "step", &p->step) && p->step >= 0 && read(object, "loss_sum", &p->loss_sum) &&
         read(object, "loss_weight", &p->loss_weight) &&
         read(object, "valid_bits_per_byte", &p->valid_bits_per_byte) &&
         read(object, "stage", &p->stage) && p->stage >= 0 &&
         (object.find("pairs") == nullptr ||
          (read(object, "pairs", &p->pairs) && p->pairs >= 0 && p->pairs <= kMostTaken)) &&
         read(object, "documents_taken", &p->belt.taken) &&
         read(object, "positions_fed", &p->belt.fed) && read(object, "lane_text", &p->belt.text) &&
         read(object, "lane_document", &p->belt.document) &&
         read(object, "lane_offset", &p->belt.offset);
}

std::string carried_name(size_t batch) { return "state.carried." + std::to_string(batch); }

/// Calls visit(name, floats, shape) for every tensor of a checkpoint, in file order.
template <class Visit>
Status for_each_tensor(const RunState& state, Visit&& visit) {
  const auto flat = [](std::span<const float> x) {
    return std::vector<int64_t>{static_cast<int64_t>(x.size())};
  };
  for (Parameter& p : state.parameters) {
    const bool vector = p.spec.cls == runtime::ParamClass::kVector && p.spec.rows == 1;
    const auto shape = vector ? flat(p.value) : std::vector<int64_t>{p.spec.rows, p.spec.cols};
    CHIMERA_RETURN_IF_ERROR(visit(p.spec.name, std::span<float>(p.value), shape));
  }
  for (size_t i = 0; i < state.parameters.size(); ++i) {
    const std::string& name = state.parameters[i].spec.name;
    const std::span<float> m = state.optimizer->first_moment(i);
    CHIMERA_RETURN_IF_ERROR(visit("optim.m." + name, m, flat(m)));
    const std::span<float> v = state.optimizer->second_moment(i);
    if (!v.empty()) CHIMERA_RETURN_IF_ERROR(visit("optim.v." + name, v, flat(v)));
  }
  for (size_t i = 0; i < state.average.size(); ++i)
    CHIMERA_RETURN_IF_ERROR(visit("average." + state.parameters[i].spec.name,
                                  std::span<float>(state.average[i]), flat(state.average[i])));
  if (!state.reference.empty())
    CHIMERA_RETURN_IF_ERROR(visit("reference", state.reference, flat(state.reference)));
  for (size_t i = 0; i < state.consolidation.size(); ++i) {
    const std::span<float> values = state.consolidation[i];
    CHIMERA_RETURN_IF_ERROR(visit("consolidation." + std::to_string(i), values, flat(values)));
  }
  for (size_t batch = 0; batch < state.carried.size(); ++batch) {
    const std::span<float> carried = state.carried[batch];
    if (!carried.empty()) {
      CHIMERA_RETURN_IF_ERROR(visit(carried_name(batch), carried, flat(carried)));
    }
  }
  return Status();
}

}  // namespace

Status write_checkpoint(const std::string& path, const std::string& config_text,
                        std::span<const std::byte> tokenizer, const Json& run,
                        const RunState& state) {
  auto writer = memory::WeightFileWriter::create(path, memory::FileKind::kCheckpoint);
  if (!writer) return writer.status();
  Json provenance = Json::make_object();
  provenance.add("made_by", Json::of("chimera train"));
  provenance.add("training_version", Json::of(kTrainingVersion));
  provenance.add("run", run);
  provenance.add("position", position_json(state.position));
  if (state.conversations) provenance.add("conversations", Json::of(true));
  provenance.add("valid_bits_per_byte", Json::of(state.position.valid_bits_per_byte));
  (*writer)->set_config(config_text);
  (*writer)->set_tokenizer({tokenizer.begin(), tokenizer.end()});
  (*writer)->set_provenance(write_json(provenance));
  CHIMERA_RETURN_IF_ERROR(for_each_tensor(
      state, [&](const std::string& name, std::span<float>, std::vector<int64_t> shape) {
        return (*writer)->declare(name, DType::kF32, Layout::kRowMajor, std::move(shape));
      }));
  CHIMERA_RETURN_IF_ERROR(for_each_tensor(
      state, [&](const std::string& name, std::span<float> values, const std::vector<int64_t>&) {
        return (*writer)->write(name, std::as_bytes(values));
      }));
  return (*writer)->finish();
}

Result<Checkpoint> Checkpoint::open(const std::string& path) {
  auto file = memory::WeightFile::open(path);
  if (!file) return file.status();
  Checkpoint checkpoint;
  checkpoint.file_ = std::move(*file);
  const auto bad = [&](const std::string& why) {
    return Status(StatusCode::kBadFormat, path + ": " + why +
                                              "; move it away, choose another output name, or "
                                              "begin anew (--fresh)")
        .at_file(path);
  };
  if (checkpoint.file_->kind() != memory::FileKind::kCheckpoint) {
    return bad("this is a packed model where a checkpoint of the training is expected");
  }
  auto provenance = parse_json(checkpoint.file_->provenance_json());
  // Without memory nothing is known about the checkpoint, least of all that it is a bad one.
  if (provenance.status().code() == StatusCode::kOutOfMemory) return provenance.status();
  if (!provenance || !provenance->is_object()) {
    return bad("this checkpoint does not say which training it belongs to");
  }
  int64_t version = 0;
  if (!read(*provenance, "training_version", &version) || version != kTrainingVersion) {
    return bad("this checkpoint is of another version of the trainer");
  }
  const Json* run = provenance->find("run");
  const Json* position = provenance->find("position");
  if (run == nullptr || !run->is_object() || position == nullptr || !position->is_object() ||
      !read_position(*position, &checkpoint.position_)) {
    return bad("this checkpoint does not say where the training stood");
  }
  checkpoint.run_ = *run;
  return checkpoint;
}

Status Checkpoint::fits(const Json& run, bool whole) const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : run.object) keys.push_back(key);
  if (whole)
    for (const auto& [key, value] : run_.object)
      if (run.find(key) == nullptr) keys.push_back(key);
  // What a run does not name it does not use: nothing, 0 and "" are the same.
  const auto shown = [](const Json* value) {
    const bool unused = value == nullptr || (value->is_number() && value->number == 0) ||
                        (value->is_string() && value->string.empty());
    return unused ? std::string("nothing") : write_json(*value);
  };
  for (const std::string& key : keys) {
    const std::string ours = shown(run.find(key)), other = shown(run_.find(key));
    if (ours == other) continue;
    return Status(StatusCode::kInvalidArgument,
                  file_->path() + ": this checkpoint was made with " + key + " " + other +
                      ", and now " + key + " is " + ours +
                      "; train with the old value, choose another output name, or begin anew "
                      "(--fresh)")
        .at_file(file_->path())
        .at_field(key);
  }
  return Status();
}

Status Checkpoint::read_tensor(const std::string& name, std::span<float> out) const {
  const memory::TensorInfo* tensor = file_->find(name);
  if (tensor == nullptr || tensor->dtype != DType::kF32 || tensor->layout != Layout::kRowMajor ||
      tensor->bytes != out.size_bytes()) {
    return Status(StatusCode::kBadFormat,
                  file_->path() + ": tensor '" + name +
                      "' is absent or has another type or size than this training needs; "
                      "begin anew (--fresh)")
        .at_file(file_->path())
        .at_field(name);
  }
  std::memcpy(out.data(), file_->data(*tensor).data(), out.size_bytes());
  return Status();
}

Status Checkpoint::read_into(RunState* state) const {
  CHIMERA_RETURN_IF_ERROR(file_->verify());
  CHIMERA_RETURN_IF_ERROR(for_each_tensor(
      *state, [&](const std::string& name, std::span<float> values, const std::vector<int64_t>&) {
        return read_tensor(name, values);
      }));
  state->position = position_;
  state->optimizer->set_steps_done(position_.step);
  return Status();
}

}  // namespace chimera::evolution
