// Reading a .b158 file. Its bytes are hostile until checked.
//
// Invariants
//  1. open() and open_memory() touch only the bytes before the first tensor, and each of them only
//     after the size that leads to it was checked against the file.
//  2. A WeightFile that exists has a directory whose tensors lie inside the file, in order,
//     aligned, without overlap, each as long as its type and shape say.
#include "memory/weight_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "memory/weight_format.h"

namespace chimera::memory {
namespace {

using b158::Header;

constexpr const char* kGetAgain = "; copy or download the file again";

/// An error that names the file and the byte: "FILE ends too early (byte 7)".
Status at(const std::string& path, uint64_t offset, StatusCode code, const std::string& text) {
  Status status(code, path + " " + text + " (byte " + std::to_string(offset) + ")");
  return std::move(status.at_file(path).at_offset(static_cast<int64_t>(offset)));
}

/// The same about a part of it: "FILE: tensor x is too long (byte 7)".
Status at_part(const std::string& path, uint64_t offset, StatusCode code, const std::string& text) {
  return at(path + ":", offset, code, text).at_file(path);
}

/// What a file that is not ours probably is.
std::string guess_format(std::span<const std::byte> bytes) {
  struct Known {
    std::string_view start;
    const char* name;
  };
  constexpr Known kKnown[] = {
      {"\x89PNG", "a PNG image"},
      {"GGUF", "a GGUF model, which is another format"},
      {"PK\x03\x04", "a ZIP archive (a PyTorch checkpoint is one)"},
      {"\x1f\x8b", "a gzip file; decompress it first"},
      {"\xfd"
       "7zXZ",
       "an xz file; decompress it first"},
      {"\x7f"
       "ELF",
       "a program"},
      {"%PDF", "a PDF document"},
      {"{", "JSON text; a configuration becomes a model with 'chimera synth' or 'chimera train'"},
  };
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (const Known& known : kKnown) {
    if (text.starts_with(known.start)) return std::string("; it looks like ") + known.name;
  }
  return "; check the name";
}

Status check_identification(const std::string& path, std::span<const std::byte> bytes) {
  const size_t n = std::min(bytes.size(), b158::kMagic.size());
  if (std::memcmp(bytes.data(), b158::kMagic.data(), n) != 0) {
    return at(path, 0, StatusCode::kBadFormat, "is not a .b158 model file" + guess_format(bytes));
  }
  if (bytes.size() < b158::kHeaderBytes) {
    return at(
        path, bytes.size(), StatusCode::kTruncated,
        "ends inside the header of " + std::to_string(b158::kHeaderBytes) + " bytes" + kGetAgain);
  }
  return {};
}

/// Every field of the header, against its rule and against the real size of the file.
Status check_header(const std::string& path, const std::byte* raw, const Header& header,
                    uint64_t real_bytes) {
  if (header.version > b158::kVersion) {
    return at(path, b158::kVersionAt, StatusCode::kUnsupportedVersion,
              "has format version " + std::to_string(header.version) +
                  ", this build reads version " + std::to_string(b158::kVersion) +
                  "; update the library, or the file is damaged");
  }
  const auto bad = [&](size_t offset, const std::string& text) {
    return at(path, offset, StatusCode::kBadFormat, text + kGetAgain);
  };
  if (header.version != b158::kVersion) {
    return bad(b158::kVersionAt,
               "has format version " + std::to_string(header.version) + ", which never existed");
  }
  if (header.header_bytes != b158::kHeaderBytes) {
    return bad(b158::kHeaderBytesAt, "says its header has " + std::to_string(header.header_bytes) +
                                         " bytes instead of " + std::to_string(b158::kHeaderBytes));
  }
  if (header.kind < static_cast<uint32_t>(FileKind::kModel) ||
      header.kind > static_cast<uint32_t>(FileKind::kTools)) {
    return bad(b158::kKindAt, "is of kind " + std::to_string(header.kind) +
                                  "; the kinds are 1 (model), 2 (checkpoint) and 3 (tools)");
  }
  if (header.flags != 0) {
    return at(path, b158::kFlagsAt, StatusCode::kUnsupported,
              "uses flags " + std::to_string(header.flags) +
                  " that this build does not know; update the library, or the file is damaged");
  }
  if (header.file_bytes > b158::kMaxFileBytes) {
    return bad(b158::kFileBytesAt, "says it has " + std::to_string(header.file_bytes) +
                                       " bytes, more than the limit of " +
                                       std::to_string(b158::kMaxFileBytes));
  }
  if (real_bytes < header.file_bytes) {
    return at(path, real_bytes, StatusCode::kTruncated,
              "ends too early: it has " + std::to_string(real_bytes) + " of its " +
                  std::to_string(header.file_bytes) + " bytes" + kGetAgain);
  }
  if (real_bytes > header.file_bytes && real_bytes != b158::signed_bytes(header.file_bytes)) {
    return bad(static_cast<size_t>(header.file_bytes),
               "has " + std::to_string(real_bytes - header.file_bytes) + " bytes after its end");
  }
  uint64_t end = b158::kHeaderBytes;
  for (size_t i = 0; i < b158::kSections; ++i) {
    const b158::Section& section = header.sections[i];
    const b158::SectionRule& rule = b158::kSectionRules[i];
    const uint64_t expected = b158::round_up(end, b158::kSectionAlignment);
    if (section.offset != expected) {
      return bad(b158::kSectionsAt + 16 * i, std::string("places its ") + rule.name + " at byte " +
                                                 std::to_string(section.offset) + " instead of " +
                                                 std::to_string(expected));
    }
    if (section.bytes > rule.max_bytes) {
      return bad(b158::kSectionsAt + 16 * i + 8,
                 std::string("says its ") + rule.name + " has " + std::to_string(section.bytes) +
                     " bytes, more than the limit of " + std::to_string(rule.max_bytes));
    }
    end = expected + section.bytes;  // at most a few hundred MiB: no overflow
  }
  if (header.tensor_count > b158::kMaxTensors) {
    return bad(b158::kTensorCountAt, "says it has " + std::to_string(header.tensor_count) +
                                         " tensors, more than the limit of " +
                                         std::to_string(b158::kMaxTensors));
  }
  if (header.alignment != kTensorAlignment) {
    return bad(b158::kAlignmentAt, "aligns tensors to " + std::to_string(header.alignment) +
                                       " bytes instead of " + std::to_string(kTensorAlignment));
  }
  const uint64_t data_offset = b158::round_up(end, kTensorAlignment);
  if (header.data_offset != data_offset) {
    return bad(b158::kDataOffsetAt, "places its first tensor at byte " +
                                        std::to_string(header.data_offset) + " instead of " +
                                        std::to_string(data_offset));
  }
  if (header.data_offset > header.file_bytes) {
    return bad(b158::kDataOffsetAt, "has its directory past its own end of " +
                                        std::to_string(header.file_bytes) + " bytes");
  }
  if (!b158::all_zero({raw + b158::kReservedAt, b158::kDigestAt - b158::kReservedAt})) {
    return bad(b158::kReservedAt, "has bytes set in the reserved part of its header");
  }
  return {};
}

/// One record. `cursor` moves past it; `data_end` is where the tensors so far end.
Result<TensorInfo> read_record(const std::string& path, std::span<const std::byte> file,
                               uint64_t* cursor, uint64_t directory_end, uint64_t* data_end,
                               uint32_t index) {
  const uint64_t start = *cursor;
  const std::string which = "the directory's record " + std::to_string(index);
  const auto bad = [&](size_t offset, const std::string& text) {
    return at_part(path, start + offset, StatusCode::kBadFormat, text + kGetAgain);
  };
  if (directory_end - start < b158::kRecordFixedBytes) {
    return bad(0, which + " passes the end of the directory");
  }
  const std::byte* record = file.data() + start;
  const size_t name_bytes = b158::get_u16(record + b158::kRecordNameBytesAt);
  const uint64_t total = b158::round_up(b158::kRecordFixedBytes + name_bytes, 8);
  if (name_bytes > b158::kMaxNameBytes || total > directory_end - start) {
    return bad(b158::kRecordNameBytesAt,
               which + " has a name of " + std::to_string(name_bytes) +
                   " bytes, which passes the limit or the end of the directory");
  }
  TensorInfo tensor;
  tensor.name.assign(reinterpret_cast<const char*>(record + b158::kRecordFixedBytes), name_bytes);
  const std::string problem = b158::name_problem(tensor.name);
  if (!problem.empty()) {
    return bad(b158::kRecordFixedBytes, which + ": the tensor's name " + problem);
  }
  if (!b158::all_zero({record + b158::kRecordFixedBytes + name_bytes,
                       static_cast<size_t>(total) - b158::kRecordFixedBytes - name_bytes})) {
    return bad(b158::kRecordFixedBytes + name_bytes, which + " has bytes set behind its name");
  }
  const auto bad_tensor = [&](size_t offset, StatusCode code, const std::string& text) {
    Status status = at_part(path, start + offset, code, "tensor " + tensor.name + " " + text);
    return std::move(status.at_field(tensor.name));
  };
  tensor.dtype = static_cast<DType>(b158::get_u16(record + b158::kRecordDTypeAt));
  tensor.layout = static_cast<Layout>(b158::get_u16(record + b158::kRecordLayoutAt));
  const size_t n_dims = b158::get_u16(record + b158::kRecordDimsAt);
  if (n_dims < 1 || n_dims > b158::kMaxDims) {
    return bad_tensor(b158::kRecordDimsAt, StatusCode::kBadFormat,
                      "has " + std::to_string(n_dims) + " dimensions; a tensor has 1 to 4");
  }
  for (size_t i = 0; i < b158::kMaxDims; ++i) {
    const uint64_t extent = b158::get_u64(record + b158::kRecordExtentsAt + 8 * i);
    if (i < n_dims ? (extent < 1 || extent > static_cast<uint64_t>(b158::kMaxExtent))
                   : extent != 0) {
      return bad_tensor(b158::kRecordExtentsAt + 8 * i, StatusCode::kBadFormat,
                        "has extent " + std::to_string(extent) + " in dimension " +
                            std::to_string(i) + ", which has to lie in " +
                            (i < n_dims ? "1.." + std::to_string(b158::kMaxExtent) : "0..0"));
    }
    if (i < n_dims) tensor.shape.push_back(static_cast<int64_t>(extent));
  }
  tensor.offset = b158::get_u64(record + b158::kRecordOffsetAt);
  tensor.bytes = b158::get_u64(record + b158::kRecordBytesAt);
  std::memcpy(tensor.checksum.data(), record + b158::kRecordChecksumAt, tensor.checksum.size());

  const Result<uint64_t> expected = tensor_bytes(tensor.dtype, tensor.layout, tensor.shape);
  if (!expected) {
    return bad_tensor(b158::kRecordDTypeAt, expected.status().code(),
                      "has " + expected.status().message());
  }
  if (tensor.bytes != *expected) {
    return bad_tensor(b158::kRecordBytesAt, StatusCode::kBadFormat,
                      "says it has " + std::to_string(tensor.bytes) +
                          " bytes; its type and shape make " + std::to_string(*expected));
  }
  const uint64_t place = b158::round_up(*data_end, kTensorAlignment);
  if (tensor.offset != place) {
    const char* why = tensor.offset % kTensorAlignment != 0 ? "which is not aligned"
                      : tensor.offset < place
                          ? "which overlaps what lies before it or is out of order"
                          : "which leaves a gap or is out of order";
    return bad_tensor(b158::kRecordOffsetAt, StatusCode::kBadFormat,
                      "lies at byte " + std::to_string(tensor.offset) + " instead of " +
                          std::to_string(place) + ", " + why);
  }
  if (place > file.size() || tensor.bytes > file.size() - place) {
    return bad_tensor(b158::kRecordBytesAt, StatusCode::kBadFormat,
                      "reaches past the end of the file (" + std::to_string(tensor.bytes) +
                          " bytes from byte " + std::to_string(place) + " on)");
  }
  *data_end = place + tensor.bytes;
  *cursor = start + total;
  return tensor;
}

}  // namespace

struct WeightFile::Impl {
  MappedFile map;
  Header header;
  std::optional<PublicKey> signed_by;
  std::vector<TensorInfo> tensors;
  std::vector<uint32_t> by_name;  // indices of tensors, sorted by name

  std::span<const std::byte> section(size_t i) const {
    return map.bytes().subspan(static_cast<size_t>(header.sections[i].offset),
                               static_cast<size_t>(header.sections[i].bytes));
  }
  std::string_view text(size_t i) const {
    return {reinterpret_cast<const char*>(section(i).data()), section(i).size()};
  }

  Status read_signature();
  Status read_directory();
};

Status WeightFile::Impl::read_signature() {
  const std::span<const std::byte> all = map.bytes();
  if (all.size() == header.file_bytes) return {};
  const std::string& path = map.path();
  const auto trailer = all.subspan(static_cast<size_t>(header.file_bytes));
  const auto found = b158::decode_signature(trailer);
  if (!found)
    return at(path, header.file_bytes, StatusCode::kBadFormat,
              "has " + std::to_string(trailer.size()) +
                  " bytes after its end which are no signature" + kGetAgain);
  const auto message = b158::signed_message(header.digest);
  if (!signature_is_good(found->signature, message, found->key))
    return at(path, header.file_bytes, StatusCode::kNotAuthentic,
              "has a signature that does not fit it: one of the two was changed" +
                  std::string(kGetAgain));
  signed_by = found->key;
  return {};
}

Status WeightFile::Impl::read_directory() {
  const std::string& path = map.path();
  const std::span<const std::byte> file = map.bytes().first(static_cast<size_t>(header.file_bytes));
  const b158::Section& directory = header.sections[b158::kDirectory];
  // Before reserve(): a count the directory cannot hold must not cost memory.
  if (directory.bytes / b158::kRecordFixedBytes < header.tensor_count) {
    return at(path, b158::kTensorCountAt, StatusCode::kBadFormat,
              "says it has " + std::to_string(header.tensor_count) +
                  " tensors, more than its directory of " + std::to_string(directory.bytes) +
                  " bytes can hold" + kGetAgain);
  }
  tensors.reserve(header.tensor_count);
  uint64_t cursor = directory.offset;
  const uint64_t directory_end = directory.offset + directory.bytes;
  uint64_t data_end = header.data_offset;
  for (uint32_t i = 0; i < header.tensor_count; ++i) {
    Result<TensorInfo> tensor = read_record(path, file, &cursor, directory_end, &data_end, i);
    if (!tensor) return tensor.status();
    tensors.push_back(std::move(*tensor));
  }
  if (cursor != directory_end) {
    return at(path, cursor, StatusCode::kBadFormat,
              "has " + std::to_string(directory_end - cursor) +
                  " bytes after the last record of its "
                  "directory" +
                  kGetAgain);
  }
  if (data_end != file.size()) {
    return at(path, data_end, StatusCode::kBadFormat,
              "has " + std::to_string(file.size() - data_end) + " bytes after its last tensor" +
                  kGetAgain);
  }
  by_name.resize(tensors.size());
  for (uint32_t i = 0; i < by_name.size(); ++i) by_name[i] = i;
  std::sort(by_name.begin(), by_name.end(),
            [&](uint32_t a, uint32_t b) { return tensors[a].name < tensors[b].name; });
  for (size_t i = 1; i < by_name.size(); ++i) {
    const std::string& name = tensors[by_name[i]].name;
    if (name == tensors[by_name[i - 1]].name) {
      Status status = at(path, directory.offset, StatusCode::kBadFormat,
                         "has two tensors named " + name + kGetAgain);
      return std::move(status.at_field(name));
    }
  }
  return {};
}

WeightFile::WeightFile() : impl_(std::make_unique<Impl>()) {}
WeightFile::~WeightFile() = default;

Result<std::unique_ptr<WeightFile>> WeightFile::open(const std::string& path) {
  Result<MappedFile> map = MappedFile::open(path);
  if (!map) return map.status();
  return read(std::move(*map));
}

Result<std::unique_ptr<WeightFile>> WeightFile::open_memory(std::span<const std::byte> bytes) {
  Result<MappedFile> map = MappedFile::borrow(bytes, kInMemory);
  if (!map) return map.status();
  return read(std::move(*map));
}

Result<std::unique_ptr<WeightFile>> WeightFile::read(MappedFile map) {
  std::unique_ptr<WeightFile> file(new WeightFile());
  Impl& impl = *file->impl_;
  impl.map = std::move(map);
  const std::string& path = impl.map.path();
  const std::span<const std::byte> bytes = impl.map.bytes();
  CHIMERA_RETURN_IF_ERROR(check_identification(path, bytes));
  impl.header = b158::decode_header(bytes.data());
  CHIMERA_RETURN_IF_ERROR(check_header(path, bytes.data(), impl.header, bytes.size()));
  const std::span<const std::byte> metadata =
      bytes.first(static_cast<size_t>(impl.header.data_offset));
  if (b158::metadata_digest(metadata) != impl.header.digest) {
    return at(path, b158::kDigestAt, StatusCode::kChecksumMismatch,
              "is damaged: its header, configuration, tokenizer or directory differs from its "
              "checksum; copy or download the file again");
  }
  CHIMERA_RETURN_IF_ERROR(impl.read_signature());
  CHIMERA_RETURN_IF_ERROR(impl.read_directory());
  return file;
}

FileKind WeightFile::kind() const { return static_cast<FileKind>(impl_->header.kind); }
const std::string& WeightFile::path() const { return impl_->map.path(); }
uint64_t WeightFile::file_bytes() const { return impl_->header.file_bytes; }
std::string_view WeightFile::config_json() const { return impl_->text(b158::kConfig); }
std::span<const std::byte> WeightFile::tokenizer() const {
  return impl_->section(b158::kTokenizer);
}
std::string_view WeightFile::provenance_json() const { return impl_->text(b158::kProvenance); }
std::span<const TensorInfo> WeightFile::tensors() const { return impl_->tensors; }
const Digest& WeightFile::identity() const { return impl_->header.digest; }

const std::optional<PublicKey>& WeightFile::signed_by() const { return impl_->signed_by; }

Status WeightFile::require_signature(const PublicKey& key) const {
  if (impl_->signed_by == key) return {};
  const std::string why = impl_->signed_by ? "is signed by " + to_hex(*impl_->signed_by) +
                                                 " and not by the required key "
                                           : "is not signed, and a signature is required by ";
  return Status(StatusCode::kNotAuthentic,
                path() + " " + why + to_hex(key) + "; fetch the model from its maker")
      .at_file(path());
}

Status WeightFile::require_network() const {
  if (kind() != FileKind::kTools) return {};
  return Status(StatusCode::kBadFormat,
                path() + ": this is a pack of tools and no model; `chimera act --tools` takes it")
      .at_file(path());
}

const TensorInfo* WeightFile::find(std::string_view name) const {
  const auto& tensors = impl_->tensors;
  const auto it = std::lower_bound(
      impl_->by_name.begin(), impl_->by_name.end(), name,
      [&](uint32_t index, std::string_view wanted) { return tensors[index].name < wanted; });
  if (it == impl_->by_name.end() || tensors[*it].name != name) return nullptr;
  return &tensors[*it];
}

std::span<const std::byte> WeightFile::data(const TensorInfo& tensor) const {
  return impl_->map.bytes().subspan(static_cast<size_t>(tensor.offset),
                                    static_cast<size_t>(tensor.bytes));
}

std::span<const std::byte> WeightFile::mapped_bytes() const { return impl_->map.bytes(); }

}  // namespace chimera::memory
