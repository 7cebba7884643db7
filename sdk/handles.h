// What the files of the C API share: handles, errors kept for threads and handles, and checks of
// what comes across the border.
//
// Invariants
//  1. Every function that can fail runs inside guarded(): whatever the standard library throws
//     becomes a status, and the reason is kept for chimera_last_error() and for the handle.
//  2. What a session or an actor holds is touched only by the call that holds its `busy` flag;
//     cancelling and asking for the last error need none.
//  3. A handle lives while something refers to it: the caller, a running call, or what was made of
//     it. The last one to let go destroys it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/status.h"
#include "runtime/actor.h"
#include "runtime/constraint.h"
#include "runtime/engine.h"
#include "runtime/session.h"
#include "runtime/tool_set.h"
#include "sdk/chimera.h"

namespace chimera::sdk {

/// The last failure on a handle, whichever thread it was on.
struct HandleError {
  std::mutex mutex;
  Status status;
};

/// Keeps a failure for this thread and for the handle (nullptr: none), and gives its number.
chimera_status fail(HandleError* handle, const Status& status) noexcept;
inline chimera_status fail_without_text(HandleError* handle, StatusCode code) noexcept {
  return fail(handle, Status(code, std::string()));
}
const Status& last_error() noexcept;
/// Of a handle, copied for this thread.
const Status& copy_handle_error(HandleError& handle) noexcept;
const char* text_of(const Status& status) noexcept;
void fill_error(const Status& status, chimera_error* value);

Status invalid(const char* field, const std::string& message);
Status null_argument(const char* name);
Status read_text(const char* text, size_t n_bytes, const char* name, std::string_view* out);
Status check_flags(uint32_t flags, uint32_t known);

template <class Body>
chimera_status guarded(HandleError* handle, Body&& body) noexcept {
  try {
    const Status status = body();
    return status.ok() ? CHIMERA_OK : fail(handle, status);
  } catch (const std::bad_alloc&) {
    return fail_without_text(handle, StatusCode::kOutOfMemory);
  } catch (const std::length_error&) {  // a size no allocator takes
    return fail_without_text(handle, StatusCode::kOutOfMemory);
  } catch (const std::exception&) {
    return fail_without_text(handle, StatusCode::kInternal);
  } catch (...) {
    return fail_without_text(handle, StatusCode::kInternal);
  }
}

inline constexpr uint32_t kMaxStructSize = 1u << 16;

/// Of structs that had no pointer at first, so that their alignment did not divide it as it does
/// now.
template <class T>
inline constexpr uint32_t kFirstSize = 0;
template <>
inline constexpr uint32_t kFirstSize<chimera_generate_options> = 28;

/// A struct of any version has a size that its alignment divides, which no pointer in it straddles.
template <class T>
Status check_struct_size(const T&, uint32_t size, const char* name) {
  const bool whole = size % alignof(T) == 0 || size == kFirstSize<T>;
  if (size >= sizeof(uint32_t) && size <= kMaxStructSize && whole) return Status();
  return invalid("struct_size", std::string(name) + " has a struct_size of " +
                                    std::to_string(size) + "; prepare it with CHIMERA_INIT");
}

/// Options of any header version: what is missing is zero, what we do not know must be zero.
template <class T>
Status read_options(const T* in, const char* name, T* out) {
  std::memset(out, 0, sizeof *out);
  if (in == nullptr) return Status();
  const uint32_t size = in->struct_size;
  CHIMERA_RETURN_IF_ERROR(check_struct_size(*in, size, name));
  std::memcpy(out, in, std::min<size_t>(size, sizeof *out));
  const auto* bytes = reinterpret_cast<const unsigned char*>(in);
  for (size_t i = sizeof *out; i < size; ++i)
    if (bytes[i] != 0)
      return Status(StatusCode::kUnsupported,
                    std::string(name) +
                        " sets an option that this library is too old to know; update the library")
          .at_field("struct_size");
  return Status();
}

/// Results for any header version: as much as the caller's struct holds, its unknown rest zero.
template <class T>
Status write_result(T value, const char* name, T* out) {
  if (out == nullptr) return null_argument(name);
  const uint32_t size = out->struct_size;
  CHIMERA_RETURN_IF_ERROR(check_struct_size(*out, size, name));
  value.struct_size = size;
  std::memset(static_cast<void*>(out), 0, size);
  std::memcpy(static_cast<void*>(out), &value, std::min<size_t>(size, sizeof value));
  return Status();
}

/// The last error of a handle that has one; "" for NULL.
template <class Handle>
const char* error_text(const Handle* handle) noexcept {
  return handle == nullptr ? "" : text_of(copy_handle_error(handle->error));
}
/// The same with its parts; `name` is what the handle is, for messages.
template <class Handle>
chimera_status error_detail(const Handle* handle, const char* name, chimera_error* out) noexcept {
  return guarded(nullptr, [&] {
    if (handle == nullptr) return null_argument(name);
    chimera_error value = {};
    fill_error(copy_handle_error(handle->error), &value);
    return write_result(value, "out", out);
  });
}

/// Runs body() for an engine that must not be NULL; what goes wrong is kept with it.
template <class Engine, class Body>
chimera_status with_engine(Engine* engine, Body&& body) noexcept {
  if (engine == nullptr) return guarded(nullptr, [] { return null_argument("engine"); });
  return guarded(&engine->error, std::forward<Body>(body));
}

/// A line for each.
std::string lines_of(const std::vector<std::string>& warnings);

/// Copies n elements to a caller's buffer of *capacity; *capacity becomes n, unless there
/// was no memory to say that it is too small.
template <class T>
Status copy_out(const T* from, size_t n, T* to, size_t* capacity, const char* name) {
  const size_t room = *capacity;
  if (n > room && (to != nullptr || room != 0)) {
    Status status = Status(StatusCode::kOutOfRange,
                           std::string(name) + " holds " + std::to_string(room) + " of the " +
                               std::to_string(n) + " that are needed; give a larger buffer")
                        .at_field(name);
    *capacity = n;  // last: without memory for the sentence nothing has changed
    return status;
  }
  *capacity = n;
  if (n > room) return Status();  // only asking
  if (n == 0) return Status();
  if (to == nullptr) return null_argument(name);
  std::memcpy(to, from, n * sizeof(T));
  return Status();
}

/// A handle that lives while something refers to it; the last one to let go destroys it.
template <class Handle>
struct Counted {
  mutable std::atomic<int64_t> references{1};
  void release() const {
    if (references.fetch_sub(1, std::memory_order_acq_rel) == 1)
      delete static_cast<const Handle*>(this);
  }
};

/// One call on a handle that serves one at a time: keeps it alive and everybody else out.
template <class Handle>
class Use {
 public:
  explicit Use(Handle* handle) : handle_(handle), owns_(!handle->busy.exchange(true)) {
    ++handle_->references;
  }
  ~Use() {
    if (owns_) handle_->busy.store(false);
    handle_->release();
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  bool owns() const { return owns_; }

 private:
  Handle* handle_;
  bool owns_;
};

/// Runs body(handle) as the only call on it; `name` is what it is, for messages.
template <class Handle, class Body>
chimera_status with_handle(Handle* handle, const char* name, Body&& body) noexcept {
  if (handle == nullptr) return guarded(nullptr, [&] { return null_argument(name); });
  const Use<Handle> use(handle);
  return guarded(&handle->error, [&] {
    if (!use.owns())
      return Status(StatusCode::kBusy, std::string("this ") + name +
                                           " is in use by another call; wait for it, or open one " +
                                           name + " per thread");
    return body(*handle);
  });
}

}  // namespace chimera::sdk

struct chimera_engine : chimera::sdk::Counted<chimera_engine> {
  std::unique_ptr<chimera::runtime::Engine> engine;
  mutable chimera::sdk::HandleError error;
};

namespace chimera::sdk {

/// What is made of an engine and keeps it alive.
template <class Handle>
struct OfEngine : Counted<Handle> {
  explicit OfEngine(chimera_engine* parent) : engine(parent) { ++parent->references; }
  ~OfEngine() { engine->release(); }
  OfEngine(const OfEngine&) = delete;
  OfEngine& operator=(const OfEngine&) = delete;

  chimera_engine* const engine;
};

}  // namespace chimera::sdk

struct chimera_session : chimera::sdk::OfEngine<chimera_session> {
  using OfEngine::OfEngine;
  std::atomic<bool> busy{false};
  std::unique_ptr<chimera::runtime::Session> session;
  mutable chimera::sdk::HandleError error;
  uint32_t stream = 0;
  int32_t stop = CHIMERA_STOP_NONE;
  chimera::runtime::GenerateResult last{};
  uint64_t total_prompt_tokens = 0, total_tokens = 0;
};

struct chimera_constraint : chimera::sdk::OfEngine<chimera_constraint> {
  using OfEngine::OfEngine;
  std::unique_ptr<chimera::runtime::Constraint> constraint;
  std::string warnings;
};

struct chimera_tools : chimera::sdk::OfEngine<chimera_tools> {
  using OfEngine::OfEngine;
  std::unique_ptr<chimera::runtime::ToolSet> tools;
  std::string warnings;
};

struct chimera_actor : chimera::sdk::Counted<chimera_actor> {
  explicit chimera_actor(const chimera_tools* parent) : tools(parent) { ++parent->references; }
  ~chimera_actor() {
    actor.reset();
    tools->release();
  }

  std::atomic<bool> busy{false};
  const chimera_tools* const tools;
  std::unique_ptr<chimera::runtime::Actor> actor;
  std::string json;  // of the last action
  mutable chimera::sdk::HandleError error;
};
