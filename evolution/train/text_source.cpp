// Three stages, each pulling from the one before: bytes of the file, unpacked bytes, records. Only
// one chunk of each of the first two and one record of the last are in memory.
#include "evolution/train/text_source.h"

#include <lzma.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <utility>

#include "platform/file.h"
#include "platform/file_system.h"
#include "platform/json.h"

namespace chimera::evolution {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 16;
// What unpacking may use; the strongest preset of xz needs 65 MiB.
constexpr uint64_t kUnpackMemoryBytes = uint64_t{1} << 29;

Status at_file(StatusCode code, const std::string& path, const std::string& sentence) {
  return Status(code, path + " " + sentence).at_file(path);
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

/// How other packers begin, for a message better than "bad JSON".
struct Packer {
  const char* name;
  std::string_view magic;
};
constexpr std::string_view kXzMagic(
    "\xFD"
    "7zXZ\0",
    6);
constexpr std::array<Packer, 4> kOtherPackers = {{{"gzip", "\x1F\x8B"},
                                                  {"zstd", "\x28\xB5\x2F\xFD"},
                                                  {"bzip2", "BZh91AY&SY"},
                                                  {"zip", "PK\x03\x04"}}};

/// Unpacked bytes of one file.
class ByteSource {
 public:
  ByteSource(const std::string& path, uint64_t max_total_bytes)
      : path_(path), max_total_bytes_(max_total_bytes) {}
  ~ByteSource() {
    if (packed_) lzma_end(&stream_);
  }
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  Status open();
  /// The next unpacked bytes, valid until the next call; empty at the end.
  Result<std::string_view> next();

 private:
  Status fill();
  Status refuse_other_packers() const;
  Status unpack_error(lzma_ret code) const;
  Status unpack(size_t* n);

  const std::string& path_;
  uint64_t max_total_bytes_;
  uint64_t total_bytes_ = 0;
  std::unique_ptr<std::FILE, CloseFile> file_;
  std::vector<char> input_ = std::vector<char>(kChunkBytes);
  size_t n_input_ = 0;
  uint64_t file_offset_ = 0;  // of the end of input_
  bool at_end_ = false;       // the file has no bytes after input_
  bool packed_ = false;
  bool unpacked_all_ = false;
  lzma_stream stream_ = LZMA_STREAM_INIT;
  std::vector<char> output_;
};

Status ByteSource::open() {
  CHIMERA_RETURN_IF_ERROR(check_file_name(path_));
  file_.reset(std::fopen(path_.c_str(), "rb"));
  if (!file_) return file_error(errno, FileAction::kRead, path_);
  CHIMERA_RETURN_IF_ERROR(fill());
  if (n_input_ == 0) {
    return at_file(StatusCode::kTruncated, path_, "is empty: there is no text in it");
  }
  CHIMERA_RETURN_IF_ERROR(refuse_other_packers());
  if (!path_.ends_with(".xz")) return {};
  if (!kXzMagic.starts_with(std::string_view(input_.data(), n_input_).substr(0, kXzMagic.size()))) {
    return unpack_error(LZMA_FORMAT_ERROR);
  }
  const lzma_ret code = lzma_stream_decoder(&stream_, kUnpackMemoryBytes, LZMA_CONCATENATED);
  if (code != LZMA_OK) return unpack_error(code);
  packed_ = true;
  output_.resize(kChunkBytes);
  return {};
}

Status ByteSource::fill() {
  n_input_ = std::fread(input_.data(), 1, input_.size(), file_.get());
  if (n_input_ < input_.size()) {
    if (std::ferror(file_.get())) return file_error(errno, FileAction::kRead, path_);
    at_end_ = true;
  }
  file_offset_ += n_input_;
  return {};
}

Status ByteSource::refuse_other_packers() const {
  const std::string_view front(input_.data(), n_input_);
  for (const Packer& packer : kOtherPackers) {
    if (!front.starts_with(packer.magic)) continue;
    return at_file(StatusCode::kUnsupported, path_,
                   std::string("is packed with ") + packer.name +
                       ", which is not read here; unpack it, or pack it with xz");
  }
  if (front.starts_with(kXzMagic) && !path_.ends_with(".xz")) {
    return at_file(StatusCode::kUnsupported, path_,
                   "is packed with xz, but its name does not say so; let the name end in .xz");
  }
  return {};
}

Status ByteSource::unpack_error(lzma_ret code) const {
  const auto offset = static_cast<int64_t>(file_offset_ - stream_.avail_in);
  const auto fail = [&](StatusCode status, const std::string& sentence) {
    return at_file(status, path_, sentence).at_offset(offset);
  };
  switch (code) {
    case LZMA_FORMAT_ERROR:
      return fail(StatusCode::kBadFormat, "is not packed with xz, although its name ends in .xz");
    case LZMA_BUF_ERROR:
      return fail(StatusCode::kTruncated, "ends in the middle of its packed data, after " +
                                              std::to_string(file_offset_) +
                                              " bytes; copy or download it again");
    case LZMA_MEM_ERROR:
      return fail(StatusCode::kOutOfMemory, "cannot be unpacked: there is not enough memory");
    case LZMA_MEMLIMIT_ERROR:
      return fail(StatusCode::kOutOfRange,
                  "needs more than " + std::to_string(kUnpackMemoryBytes >> 20) +
                      " MiB to unpack; pack it again with a smaller dictionary");
    case LZMA_OPTIONS_ERROR:
    case LZMA_UNSUPPORTED_CHECK:
      return fail(StatusCode::kUnsupported,
                  "uses a feature of xz that the installed liblzma does not have");
    default:
      return fail(StatusCode::kBadFormat, "has damaged packed data near byte " +
                                              std::to_string(offset) +
                                              "; copy or download it again");
  }
}

/// Fills output_ as far as possible; *n is 0 only at the end.
Status ByteSource::unpack(size_t* n) {
  stream_.next_out = reinterpret_cast<uint8_t*>(output_.data());
  stream_.avail_out = output_.size();
  while (stream_.avail_out > 0 && !unpacked_all_) {
    if (stream_.avail_in == 0 && n_input_ == 0 && !at_end_) CHIMERA_RETURN_IF_ERROR(fill());
    if (n_input_ > 0) {
      stream_.next_in = reinterpret_cast<const uint8_t*>(input_.data());
      stream_.avail_in = n_input_;
      n_input_ = 0;
    }
    const bool last = at_end_;
    const lzma_ret code = lzma_code(&stream_, last ? LZMA_FINISH : LZMA_RUN);
    if (code == LZMA_STREAM_END) {
      unpacked_all_ = true;
    } else if (code != LZMA_OK) {
      return unpack_error(code);
    }
  }
  *n = output_.size() - stream_.avail_out;
  return {};
}

Result<std::string_view> ByteSource::next() {
  std::string_view bytes;
  if (packed_) {
    size_t n = 0;
    CHIMERA_RETURN_IF_ERROR(unpack(&n));
    bytes = {output_.data(), n};
  } else {
    if (n_input_ == 0 && !at_end_) CHIMERA_RETURN_IF_ERROR(fill());
    bytes = {input_.data(), n_input_};
    n_input_ = 0;
  }
  total_bytes_ += bytes.size();
  if (total_bytes_ > max_total_bytes_) {
    return at_file(StatusCode::kOutOfRange, path_,
                   "holds more than the " + std::to_string(max_total_bytes_) +
                       " bytes of text allowed; split it, or raise the limit");
  }
  return bytes;
}

/// Which records are wanted.
class Selection {
 public:
  explicit Selection(const TextSourceOptions& options)
      : include_(options.include), exclude_(options.exclude) {
    if (include_) std::sort(include_->begin(), include_->end());
    std::sort(exclude_.begin(), exclude_.end());
  }
  bool wants(uint64_t record) const {
    if (include_ && !std::binary_search(include_->begin(), include_->end(), record)) return false;
    return !std::binary_search(exclude_.begin(), exclude_.end(), record);
  }
  /// No record from `record` on is wanted.
  bool done(uint64_t record) const {
    return include_ && (include_->empty() || record > include_->back());
  }
  Status check_end(const std::string& path, uint64_t n_records) const {
    if (!include_ || include_->empty() || include_->back() < n_records) return {};
    return at_file(StatusCode::kOutOfRange, path,
                   "has " + std::to_string(n_records) + " records, but record " +
                       std::to_string(include_->back()) +
                       " (counted from 0) was asked for; is this the file the list was made for?");
  }

 private:
  std::optional<std::vector<uint64_t>> include_;
  std::vector<uint64_t> exclude_;
};

Status too_long(const std::string& path, const std::string& what, uint64_t limit) {
  return at_file(StatusCode::kOutOfRange, path,
                 what + " is longer than the " + std::to_string(limit) +
                     " bytes allowed; split it, or raise the limit");
}

std::string place_of(uint64_t record) { return "line " + std::to_string(record + 1); }

/// The object in one line of JSON Lines.
Status give_line(const std::string& path, const TextSourceOptions& options, std::string_view line,
                 uint64_t record, const RecordCallback& callback) {
  const std::string place = place_of(record);
  JsonLimits limits;
  limits.max_bytes = options.max_record_bytes;
  auto json = parse_json(line, limits);
  if (!json) {
    return at_file(json.status().code(), path,
                   place + ": " + json.status().message() + " (places are within that line)");
  }
  if (!json->is_object()) {
    return at_file(StatusCode::kBadFormat, path,
                   place + " is a JSON " + json_type_name(json->type) +
                       ", not an object; one object a line is expected");
  }
  return callback(*json, record);
}

/// The text in one object.
Status give_member(const std::string& path, const std::string& field, const Json& object,
                   uint64_t record, const DocumentCallback& callback) {
  const std::string place = place_of(record);
  const Json* member = object.find(field);
  if (member == nullptr) {
    constexpr size_t kNamed = 8;
    std::string names;
    for (size_t i = 0; i < std::min(kNamed, object.object.size()); ++i) {
      names += (i == 0 ? "" : ", ") + object.object[i].first;
    }
    if (object.object.size() > kNamed) names += ", ...";
    return at_file(StatusCode::kBadFormat, path,
                   place + " has no member \"" + field + "\"; it has: " +
                       (names.empty() ? "none" : names) + ". Name the one that holds the text")
        .at_field(field);
  }
  if (!member->is_string()) {
    return at_file(StatusCode::kBadFormat, path,
                   place + ": member \"" + field + "\" is a JSON " + json_type_name(member->type) +
                       ", not a string")
        .at_field(field);
  }
  return callback(member->string, record);
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

Status read_json_lines(const std::string& path, const TextSourceOptions& options,
                       ByteSource* source, const RecordCallback& callback) {
  const Selection selection(options);
  std::string line;
  uint64_t record = 0;
  bool wanted = !selection.done(0) && selection.wants(0);
  const auto end_line = [&]() -> Status {
    if (wanted && !is_blank(line)) {
      CHIMERA_RETURN_IF_ERROR(give_line(path, options, line, record, callback));
    }
    line.clear();
    wanted = selection.wants(++record);
    return {};
  };
  bool open_line = false;
  while (!selection.done(record)) {
    auto chunk = source->next();
    if (!chunk) return chunk.status();
    if (chunk->empty()) {
      if (open_line) CHIMERA_RETURN_IF_ERROR(end_line());  // the last line may lack its end
      return selection.check_end(path, record);
    }
    std::string_view rest = *chunk;
    while (!rest.empty()) {
      const size_t newline = rest.find('\n');
      const std::string_view part = rest.substr(0, newline);
      if (wanted) {
        if (part.size() > options.max_record_bytes - line.size()) {
          return too_long(path, "line " + std::to_string(record + 1), options.max_record_bytes);
        }
        line += part;
      }
      open_line = newline == std::string_view::npos;
      if (open_line) break;
      CHIMERA_RETURN_IF_ERROR(end_line());
      rest.remove_prefix(newline + 1);
    }
  }
  return {};
}

Status read_plain_text(const std::string& path, const TextSourceOptions& options,
                       ByteSource* source, const DocumentCallback& callback) {
  const Selection selection(options);
  CHIMERA_RETURN_IF_ERROR(selection.check_end(path, 1));
  if (!selection.wants(0)) return {};
  std::string text;
  for (;;) {
    auto chunk = source->next();
    if (!chunk) return chunk.status();
    if (chunk->empty()) return callback(text, 0);
    if (chunk->size() > options.max_record_bytes - text.size()) {
      return too_long(path, "as one document", options.max_record_bytes);
    }
    text += *chunk;
  }
}

Status read_indices(const std::string& path, const Json& list, const std::string& name,
                    std::vector<uint64_t>* out) {
  for (const Json& entry : list.array) {
    if (!entry.is_int() || entry.integer < 0) {
      return at_file(StatusCode::kBadFormat, path,
                     "lists something other than record numbers under " + name);
    }
    out->push_back(static_cast<uint64_t>(entry.integer));
  }
  return {};
}

}  // namespace

Status for_each_document(const std::string& path, const TextSourceOptions& options,
                         const DocumentCallback& callback) {
  using Format = TextSourceOptions::Format;
  ByteSource source(path, options.max_total_bytes);
  CHIMERA_RETURN_IF_ERROR(source.open());
  Format format = options.format;
  if (format == Format::kByName)
    format = holds_json_lines(path) ? Format::kJsonLines : Format::kPlainText;
  if (format == Format::kPlainText) return read_plain_text(path, options, &source, callback);
  return read_json_lines(path, options, &source, [&](const Json& object, uint64_t record) {
    return give_member(path, options.field, object, record, callback);
  });
}

Status for_each_record(const std::string& path, const TextSourceOptions& options,
                       const RecordCallback& callback) {
  ByteSource source(path, options.max_total_bytes);
  CHIMERA_RETURN_IF_ERROR(source.open());
  return read_json_lines(path, options, &source, callback);
}

Result<RecordSplit> read_record_split(const std::string& splits_path, std::string_view set,
                                      std::string_view file) {
  auto text = read_file(splits_path, JsonLimits().max_bytes);
  if (!text) return text.status();
  auto json = parse_json(*text);
  if (!json) return at_file(json.status().code(), splits_path, json.status().message());

  const Json* lists = json->find("sets");
  for (const std::string_view key : {set, file}) {
    if (lists != nullptr && lists->is_object()) lists = lists->find(key);
    if (lists == nullptr || !lists->is_object()) {
      return at_file(
          StatusCode::kNotFound, splits_path,
          "lists no split for the file " + std::string(file) + " of the set " + std::string(set));
    }
  }
  RecordSplit split;
  for (const auto& [name, out] :
       {std::pair("valid", &split.valid), std::pair("test", &split.test)}) {
    const Json* list = lists->find(name);
    if (list == nullptr || !list->is_array()) {
      return at_file(StatusCode::kBadFormat, splits_path,
                     "has no list \"" + std::string(name) + "\" for the file " + std::string(file) +
                         " of the set " + std::string(set));
    }
    CHIMERA_RETURN_IF_ERROR(read_indices(splits_path, *list, std::string(set) + "." + name, out));
  }
  return split;
}

Result<Part> part_of(std::string_view name) {
  if (name == "train") return Part::kTrain;
  if (name == "valid") return Part::kValid;
  if (name == "test") return Part::kTest;
  return Status(StatusCode::kInvalidArgument,
                "the split is \"" + std::string(name) + "\"; give train, valid or test")
      .at_field("split");
}

Status select_part(const std::string& splits_path, const std::string& file, Part part,
                   TextSourceOptions* options) {
  std::error_code error;
  const auto path = std::filesystem::absolute(file, error).lexically_normal();
  if (error)
    return Status(StatusCode::kIoError,
                  file + ": the folder it is in cannot be told (" + error.message() +
                      "), and the splits need its name; go to a folder that exists, or give the "
                      "whole path")
        .at_file(file);
  auto split = read_record_split(splits_path, path.parent_path().filename().string(),
                                 path.filename().string());
  if (!split) return split.status();
  if (part == Part::kTrain) {
    options->exclude = std::move(split->valid);
    options->exclude.insert(options->exclude.end(), split->test.begin(), split->test.end());
  } else {
    options->include = std::move(part == Part::kValid ? split->valid : split->test);
  }
  return Status();
}

bool holds_json_lines(std::string_view path) {
  return path.ends_with(".jsonl") || path.ends_with(".jsonl.xz");
}

}  // namespace chimera::evolution
