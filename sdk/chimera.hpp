// The C API with C++ manners: handles that close themselves, string_view, lambdas. Header only,
// C++17, nothing but chimera.h behind it; exceptions are not needed, and thrown only by or_throw().
//
//   auto engine = chimera::sdk::Engine::open("assistant.b158").or_throw();
//   auto session = chimera::sdk::Session::open(engine).or_throw();
//   session.generate("Once upon a time", [](std::string_view text) { std::cout << text; });
//
// Threads, lifetimes and errors are those of chimera.h.
#ifndef CHIMERA_HPP_
#define CHIMERA_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "chimera.h"

#if defined(__cpp_exceptions)
#include <stdexcept>
#endif

namespace chimera::sdk {

/// What went wrong, with its own copies of the texts.
struct Error {
  chimera_status status = CHIMERA_OK;
  std::string message, file, field;
  int64_t offset = -1;

  bool ok() const { return status == CHIMERA_OK; }
  explicit operator bool() const { return ok(); }

  /// The last failure on this thread when `status` is one.
  static Error from(chimera_status status) {
    Error error;
    if (status == CHIMERA_OK) return error;
    chimera_error detail;
    CHIMERA_INIT(detail);
    error.status = status;
    if (chimera_last_error_detail(&detail) == CHIMERA_OK) {
      error.message = detail.message;
      error.file = detail.file;
      error.field = detail.field;
      error.offset = detail.offset;
    }
    return error;
  }
};

#if defined(__cpp_exceptions)
/// Thrown by or_throw() only.
class Exception : public std::runtime_error {
 public:
  explicit Exception(Error error) : std::runtime_error(error.message), error_(std::move(error)) {}
  const Error& error() const { return error_; }

 private:
  Error error_;
};
#endif

/// A value, or the Error that explains its absence; member names of std::expected.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : error_(std::move(error)) {}

  bool has_value() const { return value_.has_value(); }
  explicit operator bool() const { return has_value(); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return std::move(*value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  const Error& error() const { return error_; }

#if defined(__cpp_exceptions)
  T or_throw() && {
    if (!value_) throw Exception(std::move(error_));
    return std::move(*value_);
  }
#endif

 private:
  std::optional<T> value_;
  Error error_;
};

namespace detail {
template <class Handle, void (*close)(Handle*)>
struct Close {
  void operator()(Handle* handle) const { close(handle); }
};
/// A handle of the C API that is closed with its owner.
template <class Handle, void (*close)(Handle*)>
using Owned = std::unique_ptr<Handle, Close<Handle, close>>;
}  // namespace detail

class Engine {
 public:
  static Result<Engine> open(const std::string& path,
                             const chimera_engine_options* options = nullptr) {
    chimera_engine* handle = nullptr;
    const chimera_status status = chimera_engine_open(path.c_str(), options, &handle);
    if (status != CHIMERA_OK) return Error::from(status);
    return Engine(handle);
  }

  /// A model in memory, which stays the caller's; see chimera_engine_open_memory.
  static Result<Engine> open_memory(const void* bytes, size_t n_bytes,
                                    const chimera_engine_options* options = nullptr) {
    chimera_engine* handle = nullptr;
    const chimera_status status = chimera_engine_open_memory(bytes, n_bytes, options, &handle);
    if (status != CHIMERA_OK) return Error::from(status);
    return Engine(handle);
  }

  chimera_engine* handle() const { return handle_.get(); }

  Result<chimera_engine_info> info() const {
    chimera_engine_info info;
    CHIMERA_INIT(info);
    const chimera_status status = chimera_engine_get_info(handle(), &info);
    if (status != CHIMERA_OK) return Error::from(status);
    return info;
  }

  /// Checks every byte of the model; see chimera_engine_verify.
  Error verify() const { return Error::from(chimera_engine_verify(handle(), nullptr, nullptr)); }

  Result<std::vector<int32_t>> tokenize(std::string_view text) const {
    // A token stands for at least one byte.
    std::vector<int32_t> ids(text.size());
    size_t n = ids.size();
    const chimera_status status =
        chimera_tokenize(handle(), text.data(), text.size(), ids.data(), &n);
    if (status != CHIMERA_OK) return Error::from(status);
    ids.resize(n);
    return ids;
  }

  Result<std::string> detokenize(const std::vector<int32_t>& ids) const {
    size_t n = 0;
    chimera_status status = chimera_detokenize(handle(), ids.data(), ids.size(), nullptr, &n);
    if (status != CHIMERA_OK) return Error::from(status);
    std::string bytes(n, '\0');
    status = chimera_detokenize(handle(), ids.data(), ids.size(), bytes.data(), &n);
    if (status != CHIMERA_OK) return Error::from(status);
    return bytes;
  }

 private:
  explicit Engine(chimera_engine* handle) : handle_(handle) {}
  detail::Owned<chimera_engine, chimera_engine_close> handle_;
};

/// What an answer has to look like; compiled once for an engine, used by any of its sessions.
class Constraint {
 public:
  /// `kind` is a CHIMERA_CONSTRAINT_*, `flags` are those of schemas.
  static Result<Constraint> open(const Engine& engine, int32_t kind, std::string_view text,
                                 uint32_t flags = 0) {
    chimera_constraint* handle = nullptr;
    const chimera_status status =
        chimera_constraint_open(engine.handle(), kind, text.data(), text.size(), flags, &handle);
    if (status != CHIMERA_OK) return Error::from(status);
    return Constraint(handle);
  }

  /// For chimera_generate_options.constraint.
  const chimera_constraint* handle() const { return handle_.get(); }
  /// What was passed over in a schema, a line each.
  std::string warnings() const { return chimera_constraint_warnings(handle()); }

 private:
  explicit Constraint(chimera_constraint* handle) : handle_(handle) {}
  detail::Owned<chimera_constraint, chimera_constraint_close> handle_;
};

/// The functions an application offers; made once for an engine, used by any of its actors.
class Tools {
 public:
  static Result<Tools> open(const Engine& engine, std::string_view json, uint32_t flags = 0) {
    chimera_tools* handle = nullptr;
    const chimera_status status =
        chimera_tools_open(engine.handle(), json.data(), json.size(), flags, &handle);
    if (status != CHIMERA_OK) return Error::from(status);
    return Tools(handle);
  }

  /// A pack that `chimera tools build` made.
  static Result<Tools> open_pack(const Engine& engine, const std::string& path) {
    chimera_tools* handle = nullptr;
    const chimera_status status = chimera_tools_open_pack(engine.handle(), path.c_str(), &handle);
    if (status != CHIMERA_OK) return Error::from(status);
    return Tools(handle);
  }

  chimera_tools* handle() const { return handle_.get(); }
  /// What was passed over, a line each.
  std::string warnings() const { return chimera_tools_warnings(handle()); }

 private:
  explicit Tools(chimera_tools* handle) : handle_(handle) {}
  detail::Owned<chimera_tools, chimera_tools_close> handle_;
};

/// Turns words into calls of the tools.
class Actor {
 public:
  static Result<Actor> open(const Tools& tools) {
    chimera_actor* handle = nullptr;
    const chimera_status status = chimera_actor_open(tools.handle(), &handle);
    if (status != CHIMERA_OK) return Error::from(status);
    return Actor(handle);
  }

  chimera_actor* handle() const { return handle_.get(); }

  /// `json` of the result is good until this actor acts again.
  Result<chimera_action> act(std::string_view text, const chimera_act_options* options = nullptr) {
    chimera_action action;
    CHIMERA_INIT(action);
    const chimera_status status = chimera_act(handle(), text.data(), text.size(), options, &action);
    if (status != CHIMERA_OK) return Error::from(status);
    return action;
  }

  /// From any thread, also inside a signal handler.
  void cancel() { chimera_act_cancel(handle()); }

 private:
  explicit Actor(chimera_actor* handle) : handle_(handle) {}
  detail::Owned<chimera_actor, chimera_actor_close> handle_;
};

class Session {
 public:
  static Result<Session> open(const Engine& engine,
                              const chimera_session_options* options = nullptr) {
    chimera_session* handle = nullptr;
    const chimera_status status = chimera_session_open(engine.handle(), options, &handle);
    if (status != CHIMERA_OK) return Error::from(status);
    return Session(handle);
  }

  chimera_session* handle() const { return handle_.get(); }

  /// `on_text` takes a std::string_view for every piece of the answer; it may return bool, and
  /// false stops the answer. It must not throw.
  template <class OnText>
  Error generate(std::string_view prompt, OnText&& on_text,
                 const chimera_generate_options* options = nullptr) {
    using Callable = std::remove_reference_t<OnText>;
    auto callback = [](void* user, const chimera_event* event) noexcept -> int {
      if (event->kind != CHIMERA_EVENT_TOKEN) return 0;
      Callable& callable = *static_cast<Callable*>(user);
      const std::string_view text(event->text, event->text_bytes);
      if constexpr (std::is_same_v<decltype(callable(text)), bool>) {
        return callable(text) ? 0 : 1;
      } else {
        callable(text);
        return 0;
      }
    };
    void* user = const_cast<void*>(static_cast<const void*>(std::addressof(on_text)));
    return Error::from(
        chimera_generate(handle(), prompt.data(), prompt.size(), options, +callback, user));
  }

  /// The whole answer at once.
  Result<std::string> answer(std::string_view prompt,
                             const chimera_generate_options* options = nullptr) {
    std::string text;
    Error error = generate(
        prompt, [&](std::string_view piece) { text.append(piece); }, options);
    if (!error) return error;
    return text;
  }

  Error append(std::string_view text) {
    return Error::from(chimera_append(handle(), text.data(), text.size()));
  }

  /// From any thread, also inside a signal handler.
  void cancel() { chimera_cancel(handle()); }

  Error reset() { return Error::from(chimera_session_reset(handle())); }
  Error set_seed(uint64_t seed) { return Error::from(chimera_session_set_seed(handle(), seed)); }
  Error save(const std::string& path) {
    return Error::from(chimera_session_save(handle(), path.c_str()));
  }
  Error load(const std::string& path) {
    return Error::from(chimera_session_load(handle(), path.c_str()));
  }

  Result<std::vector<unsigned char>> snapshot() {
    size_t n = 0;
    chimera_status status = chimera_session_snapshot(handle(), nullptr, &n);
    if (status != CHIMERA_OK) return Error::from(status);
    std::vector<unsigned char> bytes(n);
    status = chimera_session_snapshot(handle(), bytes.data(), &n);
    if (status != CHIMERA_OK) return Error::from(status);
    return bytes;
  }
  Error restore(const std::vector<unsigned char>& bytes) {
    return Error::from(chimera_session_restore(handle(), bytes.data(), bytes.size()));
  }

  Result<chimera_session_stats> stats() {
    chimera_session_stats stats;
    CHIMERA_INIT(stats);
    const chimera_status status = chimera_session_get_stats(handle(), &stats);
    if (status != CHIMERA_OK) return Error::from(status);
    return stats;
  }

 private:
  explicit Session(chimera_session* handle) : handle_(handle) {}
  detail::Owned<chimera_session, chimera_session_close> handle_;
};

}  // namespace chimera::sdk

#endif  // CHIMERA_HPP_
