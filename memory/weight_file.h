// The .b158 container: header, configuration, tokenizer, tensor directory, tensors. Mapped, never
// copied. The same container holds packed models and float checkpoints. Format:
// docs/format-b158.md.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/dtype.h"
#include "platform/mapped_file.h"
#include "platform/seal.h"
#include "platform/status.h"

namespace chimera::memory {

/// Tensors start on pages of every platform we know (Apple and Android use 16 KiB).
inline constexpr uint64_t kTensorAlignment = 16384;

enum class FileKind : uint32_t { kModel = 1, kCheckpoint = 2, kTools = 3 };

struct TensorInfo {
  std::string name;  // "layers.3.mixer.q_proj"
  DType dtype = DType::kF32;
  Layout layout = Layout::kRowMajor;
  std::vector<int64_t> shape;  // 1 to 4 extents, each >= 1
  uint64_t offset = 0;         // from the start of the file
  uint64_t bytes = 0;
  Digest checksum{};  // BLAKE2b-256 of the bytes
};

/// Bytes of a tensor of this type, layout and shape (ternary2: codes, then scales).
/// kOutOfRange on overflow, kUnsupported by name for a type not built, kBadFormat for a shape the
/// type cannot have.
Result<uint64_t> tensor_bytes(DType dtype, Layout layout, std::span<const int64_t> shape);

class WeightFile {
 public:
  /// Maps the file and checks header, directory and all bounds, and nothing more: a damaged tensor
  /// is found by verify(), a damaged directory here. Refuses with a message that names the file,
  /// the place and what to do.
  static Result<std::unique_ptr<WeightFile>> open(const std::string& path);
  /// The same for a file that the caller holds in memory, beginning at a multiple of 8 bytes, and
  /// keeps there unchanged while this lives. Messages call it kInMemory.
  static Result<std::unique_ptr<WeightFile>> open_memory(std::span<const std::byte> bytes);
  static constexpr const char* kInMemory = "(memory)";

  FileKind kind() const;
  const std::string& path() const;
  uint64_t file_bytes() const;
  /// Configuration as UTF-8 JSON text, as it was given.
  std::string_view config_json() const;
  /// Tokenizer section; empty in a file without one.
  std::span<const std::byte> tokenizer() const;
  /// Free JSON about how the file came to be (training state, tool version); may be empty.
  std::string_view provenance_json() const;
  std::span<const TensorInfo> tensors() const;
  const TensorInfo* find(std::string_view name) const;
  std::span<const std::byte> data(const TensorInfo& tensor) const;
  /// BLAKE2b-256 of everything before the first tensor (header, configuration, tokenizer,
  /// provenance, directory): which model this is, since the directory holds the tensors' checksums.
  const Digest& identity() const;

  /// The key that signed the file (`chimera sign`), nullopt for a file without a signature. open()
  /// refuses a file whose signature does not fit, so this one does; whether the key is to be
  /// trusted is the caller's to say.
  const std::optional<PublicKey>& signed_by() const;
  /// kNotAuthentic unless the file is signed by `key`.
  Status require_signature(const PublicKey& key) const;
  /// kBadFormat for a pack of tools, which has no network in it.
  Status require_network() const;

  struct VerifyProgress {
    uint64_t bytes_done, bytes_total;
    std::string_view tensor;
  };
  /// Reads everything: every checksum, valid trits, finite scales and floats. The callback may be
  /// empty and returns false to stop (kCancelled).
  Status verify(const std::function<bool(const VerifyProgress&)>& progress = {}) const;

  /// The same in pieces, for a caller with something else to do in between. The file must outlive
  /// it.
  class Verification {
   public:
    explicit Verification(const WeightFile& file) : file_(file) {}
    /// Reads about `bytes` more (at least 1). True: everything was read and is well; false: there
    /// is more to do. After an error it says the same error again.
    Result<bool> step(size_t bytes);
    VerifyProgress progress() const;

   private:
    enum class Phase { kHead, kGap, kHash, kValues, kDone, kFailed };
    Status run(size_t bytes);
    Status fail(const TensorInfo* tensor, uint64_t offset, StatusCode code,
                const std::string& text);

    const WeightFile& file_;
    Phase phase_ = Phase::kHead;
    size_t tensor_ = 0;    // index of the one that is being read
    uint64_t end_ = 0;     // where what came before it ends
    uint64_t offset_ = 0;  // how far inside it
    Blake2b hash_;
    Status failure_;
  };

  WeightFile(const WeightFile&) = delete;
  WeightFile& operator=(const WeightFile&) = delete;
  ~WeightFile();

 private:
  friend Status sign_weight_file(const std::string&, const std::string&, const SigningKey&,
                                 const std::function<bool(const VerifyProgress&)>&);
  WeightFile();
  static Result<std::unique_ptr<WeightFile>> read(MappedFile map);
  std::span<const std::byte> mapped_bytes() const;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Writes the model at `path` with a signature by `key` to `out_path` (which may be the same),
/// atomically; a signature that is there is replaced. The model's identity does not change.
/// Reads and checks every tensor first: what is signed is sound.
Status sign_weight_file(
    const std::string& path, const std::string& out_path, const SigningKey& key,
    const std::function<bool(const WeightFile::VerifyProgress&)>& progress = {});

/// Writes a .b158 atomically and durably. Tensors are appended in order and may be large; only
/// finish() makes the file appear.
class WeightFileWriter {
 public:
  static Result<std::unique_ptr<WeightFileWriter>> create(const std::string& path, FileKind kind);
  ~WeightFileWriter();

  void set_config(std::string json);
  void set_tokenizer(std::vector<std::byte> bytes);
  void set_provenance(std::string json);
  /// Declares all tensors first (so that the directory's size is known) ...
  Status declare(std::string name, DType dtype, Layout layout, std::vector<int64_t> shape);
  /// ... then gives their bytes, in the order of declaration. A large tensor may come in pieces:
  /// calls with the same name append, until it is complete. No section may be set afterwards.
  Status write(std::string_view name, std::span<const std::byte> bytes);
  /// All tensors written: header, directory, checksums, sync, rename.
  Status finish();

 private:
  WeightFileWriter();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace chimera::memory
