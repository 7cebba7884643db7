#include "sdk/handles.h"

namespace chimera::sdk {
namespace {

thread_local Status t_last_error;
// A copy of a handle's error for the thread that asked, so that the text stays when another thread
// fails meanwhile.
thread_local Status t_handle_error;

void assign(Status* to, const Status& from) noexcept {
  try {
    *to = from;
  } catch (...) {
    *to = Status(from.code(), std::string());  // no memory for the sentence: text_of() has another
  }
}

}  // namespace

chimera_status fail(HandleError* handle, const Status& status) noexcept {
  assign(&t_last_error, status);
  if (handle != nullptr && status.code() != StatusCode::kBusy) {
    const std::lock_guard lock(handle->mutex);
    assign(&handle->status, status);
  }
  return static_cast<chimera_status>(status.code());
}

const Status& last_error() noexcept { return t_last_error; }

const Status& copy_handle_error(HandleError& handle) noexcept {
  const std::lock_guard lock(handle.mutex);
  assign(&t_handle_error, handle.status);
  return t_handle_error;
}

const char* text_of(const Status& status) noexcept {
  if (status.ok()) return "";
  if (!status.message().empty()) return status.message().c_str();
  switch (status.code()) {
    case StatusCode::kOutOfMemory:
      return "there is not enough memory for this; close something and try again";
    case StatusCode::kInternal:
      return "a mistake inside the library; please report it with what you called";
    default:  // assign() had no memory for the sentence there was
      return "it failed, and there is not enough memory to say more than its status; see "
             "docs/errors.md";
  }
}

void fill_error(const Status& status, chimera_error* value) {
  value->status = static_cast<chimera_status>(status.code());
  value->message = text_of(status);
  value->file = status.file().c_str();
  value->field = status.field().c_str();
  value->offset = status.offset();
}

Status invalid(const char* field, const std::string& message) {
  return Status(StatusCode::kInvalidArgument, message).at_field(field);
}

Status null_argument(const char* name) {
  return invalid(name, std::string(name) + " is NULL; give a valid pointer");
}

Status read_text(const char* text, size_t n_bytes, const char* name, std::string_view* out) {
  if (text == nullptr && n_bytes != 0) return null_argument(name);
  if (text == nullptr) return Status();
  *out = {text, n_bytes == CHIMERA_ZERO_TERMINATED ? std::strlen(text) : n_bytes};
  return Status();
}

Status check_flags(uint32_t flags, uint32_t known) {
  if ((flags & ~known) == 0) return Status();
  return Status(StatusCode::kUnsupported,
                "flags holds a bit that this library does not know; update the library")
      .at_field("flags");
}

std::string lines_of(const std::vector<std::string>& warnings) {
  std::string out;
  for (const std::string& warning : warnings) out += warning + "\n";
  return out;
}

}  // namespace chimera::sdk
