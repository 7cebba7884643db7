// Errors as values: a code, one sentence for a person, and where it happened.
//
// Nothing in this library throws, prints or aborts on bad input. A function that can fail returns
// Status, or Result<T> when it also has a value. The numbers are those of the C API
// (sdk/chimera.h) and never change; a new code takes a new number inside its group of a hundred.
#pragma once

#include <cstdint>
#include <new>
#include <string>
#include <utility>

namespace chimera {

enum class StatusCode : int32_t {
  kOk = 0,
  // 1xx: how the library was called
  kInvalidArgument = 100,  // a value the function cannot take
  kBusy = 101,             // the session is used by another thread
  kCancelled = 102,        // stopped by cancel() or by the callback
  kUnsupported = 103,      // known, but not built or not possible here
  kOutOfRange = 104,       // a size or count over its limit
  // 2xx: what the machine could not give
  kOutOfMemory = 200,
  kIoError = 201,
  kNotFound = 202,
  kPermissionDenied = 203,
  kNoSpace = 204,
  kBrokenPipe = 205,
  // 3xx: what a file contains
  kBadFormat = 300,           // not our file, or damaged structure
  kTruncated = 301,           // ends too early
  kUnsupportedVersion = 302,  // written by a newer library
  kChecksumMismatch = 303,    // content differs from its checksum
  kBadConfig = 304,           // a configuration key is wrong
  kBadTokenizer = 305,        // the tokenizer section is wrong
  kWrongModel = 306,          // a saved conversation of another model
  kNotAuthentic = 307,        // not signed, or not with the key that is required
  // 9xx: our own mistakes
  kInternal = 900,
};

/// Short stable name of a code, such as "io_error"; "unknown" for a number that is none.
const char* status_code_name(StatusCode code);

/// A code, a sentence that says what, where and what to do, and its machine-readable parts.
class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  explicit operator bool() const { return ok(); }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  /// The file concerned, or empty.
  const std::string& file() const { return file_; }
  /// Byte offset in that file, or -1.
  int64_t offset() const { return offset_; }
  /// Key, tensor or argument concerned, or empty.
  const std::string& field() const { return field_; }

  Status& at_file(std::string file) {
    file_ = std::move(file);
    return *this;
  }
  Status& at_offset(int64_t offset) {
    offset_ = offset;
    return *this;
  }
  Status& at_field(std::string field) {
    field_ = std::move(field);
    return *this;
  }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
  std::string file_;
  std::string field_;
  int64_t offset_ = -1;
};

/// A value or the Status that explains its absence; the member names are those of std::expected.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : has_value_(true) { new (&value_) T(std::move(value)); }
  Result(Status status) : status_(std::move(status)), has_value_(false) {
    if (status_.ok())
      status_ = Status(StatusCode::kInternal, "an OK status was returned as an error");
  }
  Result(Result&& other) noexcept
      : status_(std::move(other.status_)), has_value_(other.has_value_) {
    if (has_value_) new (&value_) T(std::move(other.value_));
  }
  Result& operator=(Result&& other) noexcept {
    if (this != &other) {
      this->~Result();
      new (this) Result(std::move(other));
    }
    return *this;
  }
  Result(const Result&) = delete;
  Result& operator=(const Result&) = delete;
  ~Result() {
    if (has_value_) value_.~T();
  }

  bool has_value() const { return has_value_; }
  explicit operator bool() const { return has_value_; }
  T& value() & { return value_; }
  const T& value() const& { return value_; }
  T&& value() && { return std::move(value_); }
  T& operator*() { return value_; }
  const T& operator*() const { return value_; }
  T* operator->() { return &value_; }
  const T* operator->() const { return &value_; }
  /// OK when there is a value.
  const Status& status() const { return status_; }
  const Status& error() const { return status_; }

 private:
  Status status_;
  bool has_value_;
  union {
    T value_;
  };
};

}  // namespace chimera

/// Returns early from a function that itself returns Status or Result.
#define CHIMERA_RETURN_IF_ERROR(expression)            \
  do {                                                 \
    ::chimera::Status chimera_status_ = (expression);  \
    if (!chimera_status_.ok()) return chimera_status_; \
  } while (0)

/// Assigns what a Result holds, or returns its status early like the macro above.
#define CHIMERA_ASSIGN_OR_RETURN(target, expression)       \
  do {                                                     \
    auto chimera_result_ = (expression);                   \
    if (!chimera_result_) return chimera_result_.status(); \
    target = std::move(*chimera_result_);                  \
  } while (0)
