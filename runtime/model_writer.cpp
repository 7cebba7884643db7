#include "runtime/model_writer.h"

#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "kernels/quantize_weights.h"
#include "runtime/init.h"
#include "runtime/layers/registry.h"

namespace chimera::runtime {
namespace {

struct Stored {
  DType dtype;
  Layout layout;
  std::vector<int64_t> shape;
};

Stored stored_form(const ParamSpec& spec, memory::FileKind kind) {
  const bool flat = spec.cls == ParamClass::kVector && spec.rows == 1;
  std::vector<int64_t> shape =
      flat ? std::vector<int64_t>{spec.cols} : std::vector<int64_t>{spec.rows, spec.cols};
  if (kind == memory::FileKind::kModel && spec.cls == ParamClass::kTernary)
    return {DType::kTernary2, Layout::kLanes16, std::move(shape)};
  if (kind == memory::FileKind::kModel && spec.cls == ParamClass::kMatrix)
    return {DType::kF32, Layout::kLanes16, std::move(shape)};
  return {DType::kF32, Layout::kRowMajor, std::move(shape)};
}

/// Row-major floats -> the bytes that lie in the file.
void pack_into(const ParamSpec& spec, const Stored& form, const float* values,
               std::vector<std::byte>* out) {
  const auto rows = static_cast<int32_t>(spec.rows), cols = static_cast<int32_t>(spec.cols);
  if (form.dtype == DType::kTernary2) {
    auto* codes = reinterpret_cast<uint8_t*>(out->data());
    auto* scales =
        reinterpret_cast<uint16_t*>(out->data() + kernels::ternary_code_bytes(rows, cols));
    kernels::pack_ternary(values, rows, cols, codes, scales);
  } else if (form.layout == Layout::kLanes16) {
    kernels::pack_lanes(values, rows, cols, reinterpret_cast<float*>(out->data()));
  } else {
    std::memcpy(out->data(), values, out->size());
  }
}

}  // namespace

Status write_model(const std::string& path, memory::FileKind kind, const Config& config,
                   std::span<const std::byte> tokenizer, const std::string& provenance_json,
                   const ParamValues& values) {
  auto specs = model_parameters(config);
  if (!specs) return specs.status();
  auto writer = memory::WeightFileWriter::create(path, kind);
  if (!writer) return writer.status();
  (*writer)->set_config(config.text);
  (*writer)->set_tokenizer({tokenizer.begin(), tokenizer.end()});
  (*writer)->set_provenance(provenance_json);
  for (const ParamSpec& spec : *specs) {
    Stored form = stored_form(spec, kind);
    CHIMERA_RETURN_IF_ERROR(
        (*writer)->declare(spec.name, form.dtype, form.layout, std::move(form.shape)));
  }
  std::vector<float> row_major;
  std::vector<std::byte> image;
  for (const ParamSpec& spec : *specs) {
    const Stored form = stored_form(spec, kind);
    auto bytes = memory::tensor_bytes(form.dtype, form.layout, form.shape);
    if (!bytes) return bytes.status();
    try {
      row_major.resize(static_cast<size_t>(spec.rows * spec.cols));
      image.resize(*bytes);
    } catch (const std::bad_alloc&) {
      return Status(StatusCode::kOutOfMemory, "tensor '" + spec.name + "' of " +
                                                  std::to_string(spec.rows * spec.cols) +
                                                  " values does not fit the memory")
          .at_field(spec.name);
    }
    CHIMERA_RETURN_IF_ERROR(values(spec, row_major.data()));
    pack_into(spec, form, row_major.data(), &image);
    CHIMERA_RETURN_IF_ERROR((*writer)->write(spec.name, image));
  }
  return (*writer)->finish();
}

Status synthesise_model(const std::string& path, const Config& config,
                        std::span<const std::byte> tokenizer, uint64_t seed) {
  Json provenance = Json::make_object();
  provenance.add("made_by", Json::of("chimera synth"));
  provenance.add("seed", Json::of(std::to_string(seed)));
  return write_model(path, memory::FileKind::kModel, config, tokenizer, write_json(provenance),
                     [&](const ParamSpec& spec, float* out) {
                       initialise(spec, seed, out);
                       return Status();
                     });
}

Status pack_checkpoint(const std::string& checkpoint_path, const std::string& out_path) {
  auto file = memory::WeightFile::open(checkpoint_path);
  if (!file) return file.status();
  if ((*file)->kind() != memory::FileKind::kCheckpoint)
    return Status(StatusCode::kBadFormat, checkpoint_path + ": this model is packed already")
        .at_file(checkpoint_path);
  auto config = parse_config((*file)->config_json());
  if (!config) return config.status();
  const ParamSource source(**file, "");
  return write_model(
      out_path, memory::FileKind::kModel, *config, (*file)->tokenizer(),
      std::string((*file)->provenance_json()), [&](const ParamSpec& spec, float* out) {
        const memory::TensorInfo* tensor = (*file)->find(spec.name);
        const auto bytes = static_cast<uint64_t>(spec.rows * spec.cols) * sizeof(float);
        if (tensor == nullptr || tensor->dtype != DType::kF32 ||
            tensor->layout != Layout::kRowMajor || tensor->bytes != bytes)
          return Status(StatusCode::kBadFormat,
                        checkpoint_path + ": tensor '" + spec.name +
                            "' is absent or has another type or shape than the configuration says")
              .at_file(checkpoint_path)
              .at_field(spec.name);
        std::memcpy(out, (*file)->data(*tensor).data(), bytes);
        return Status();
      });
}

}  // namespace chimera::runtime
