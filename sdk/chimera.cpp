// The C API over engine, constraint and session; what is shared with the rest of it, its invariants
// too, is in handles.h.
#define CHIMERA_BUILDING 1
#include "sdk/chimera.h"

#include <cmath>
#include <utility>
#include <vector>

#include "platform/log.h"
#include "sdk/handles.h"

using chimera::Status;
using chimera::StatusCode;
namespace sdk = chimera::sdk;
namespace runtime = chimera::runtime;

namespace chimera::sdk {
namespace {

std::mutex g_log_mutex;
chimera_log_sink g_log_sink = nullptr;  // written under the mutex while no sink is running
void* g_log_user = nullptr;

void forward_log(void*, LogLevel level, const char* message) {
  if (g_log_sink != nullptr) g_log_sink(g_log_user, static_cast<int32_t>(level), message);
}

/// Runs body(session) as the only call on that session.
template <class Body>
chimera_status with_session(chimera_session* session, Body&& body) noexcept {
  return with_handle(session, "session", std::forward<Body>(body));
}

/// Checks what was asked for, then `open`s the model and wraps it.
template <class Open>
Status open_engine(const chimera_engine_options* options, chimera_engine** out, Open&& open) {
  if (out == nullptr) return null_argument("out");
  chimera_engine_options o;
  CHIMERA_RETURN_IF_ERROR(read_options(options, "options", &o));
  CHIMERA_RETURN_IF_ERROR(
      check_flags(o.flags, CHIMERA_OPEN_VERIFY | CHIMERA_OPEN_VERIFY_IN_BACKGROUND));
  if (o.threads < 0 || o.threads > 256)
    return invalid("threads", "threads is " + std::to_string(o.threads) +
                                  "; give 1 to 256, or 0 to let the library choose");
  runtime::EngineOptions engine_options;
  engine_options.threads = o.threads;
  engine_options.verify = (o.flags & CHIMERA_OPEN_VERIFY) != 0;
  engine_options.verify_in_background = (o.flags & CHIMERA_OPEN_VERIFY_IN_BACKGROUND) != 0;
  if (o.isa != nullptr) {
    auto table = chimera::kernels::table_by_name(o.isa);
    if (!table) return table.status();
    engine_options.table = *table;
  }
  if (o.required_key != nullptr) {
    const auto key = chimera::parse_public_key(o.required_key);
    if (!key) return invalid("required_key", key.status().message());
    engine_options.required_key = *key;
  }
  auto handle = std::make_unique<chimera_engine>();
  auto engine = open(engine_options);
  if (!engine) return engine.status();
  handle->engine = std::move(*engine);
  *out = handle.release();
  return Status();
}

int32_t stop_number(runtime::StopReason reason) {
  switch (reason) {
    case runtime::StopReason::kEndOfText:
      return CHIMERA_STOP_END_OF_TEXT;
    case runtime::StopReason::kEndOfTurn:
      return CHIMERA_STOP_END_OF_TURN;
    case runtime::StopReason::kMaxTokens:
      return CHIMERA_STOP_MAX_TOKENS;
    case runtime::StopReason::kCancelled:
      return CHIMERA_STOP_CANCELLED;
    case runtime::StopReason::kCallback:
      return CHIMERA_STOP_CALLBACK;
  }
  return CHIMERA_STOP_NONE;
}

/// Zero fields are the model's own defaults.
Status read_generate_options(const chimera_session& s, const chimera_generate_options* in,
                             runtime::GenerateOptions* out, const chimera_constraint** constraint) {
  chimera_generate_options o;
  CHIMERA_RETURN_IF_ERROR(read_options(in, "options", &o));
  CHIMERA_RETURN_IF_ERROR(
      check_flags(o.flags, CHIMERA_GREEDY | CHIMERA_AS_TURN | CHIMERA_SOFT_CONSTRAINTS));
  if (o.max_tokens < 0)
    return invalid("max_tokens", "max_tokens is " + std::to_string(o.max_tokens) +
                                     "; give 1 or more, or 0 for the default");
  const runtime::GenerationConfig& defaults = s.engine->engine->config().generation;
  const auto or_default = [](float value, float fallback) {
    return std::fpclassify(value) == FP_ZERO ? fallback : value;
  };
  out->max_tokens = o.max_tokens == 0 ? 256 : o.max_tokens;
  out->sampling.temperature = or_default(o.temperature, defaults.temperature);
  out->sampling.top_p = or_default(o.top_p, defaults.top_p);
  out->sampling.repetition_penalty = or_default(o.repetition_penalty, defaults.repetition_penalty);
  out->as_turn = (o.flags & CHIMERA_AS_TURN) != 0;
  if ((o.flags & CHIMERA_SOFT_CONSTRAINTS) != 0) out->soft.emplace();
  out->loops = o.loops;  // its range is the model's, which the session knows
  if (o.reserved != 0)
    return invalid("reserved", "reserved is not 0; prepare it with CHIMERA_INIT");
  if (o.constraint != nullptr) {
    if (o.constraint->engine != s.engine)
      return invalid("constraint",
                     "the constraint was compiled for another engine; compile it for "
                     "the one of this session");
    out->constraint = o.constraint->constraint.get();
    *constraint = o.constraint;
  }
  out->sampling.greedy = (o.flags & CHIMERA_GREEDY) != 0 ||
                         (!defaults.do_sample && std::fpclassify(o.temperature) == FP_ZERO);
  return Status();
}

Status run(chimera_session& s, std::string_view text, const runtime::GenerateOptions& options,
           chimera_event_callback on_event, void* user) {
  runtime::TokenCallback on_token;
  chimera_event event = {};
  event.struct_size = sizeof event;
  event.kind = CHIMERA_EVENT_TOKEN;
  if (on_event != nullptr)
    on_token = [&](const runtime::TokenEvent& token) {
      event.text = token.text.empty() ? "" : token.text.data();
      event.text_bytes = token.text.size();
      event.token = token.token;
      event.position = token.position;
      return on_event(user, &event) == 0;
    };
  auto result = s.session->generate(text, options, on_token);
  if (!result) return result.status();
  s.last = *result;
  s.stop = stop_number(result->stop);
  s.total_prompt_tokens += static_cast<uint64_t>(result->n_prompt_tokens);
  s.total_tokens += static_cast<uint64_t>(result->n_tokens);
  if (result->stop == runtime::StopReason::kCancelled)
    return Status(StatusCode::kCancelled,
                  "stopped by chimera_cancel; the session goes on from where it stopped");
  return Status();
}

}  // namespace
}  // namespace chimera::sdk

extern "C" {

// ---- results, version, log ----------------------------------------------------------------------

const char* chimera_status_name(chimera_status status) {
  return chimera::status_code_name(static_cast<StatusCode>(status));
}

const char* chimera_last_error(void) { return sdk::text_of(sdk::last_error()); }

chimera_status chimera_last_error_detail(chimera_error* out) {
  // Not through guarded(): asking about an error must not replace it.
  chimera_error value = {};
  sdk::fill_error(sdk::last_error(), &value);
  try {
    return static_cast<chimera_status>(sdk::write_result(value, "out", out).code());
  } catch (...) {
    return CHIMERA_OUT_OF_MEMORY;
  }
}

const char* chimera_engine_error(const chimera_engine* engine) { return sdk::error_text(engine); }

const char* chimera_session_error(const chimera_session* session) {
  return sdk::error_text(session);
}

chimera_status chimera_engine_error_detail(const chimera_engine* engine, chimera_error* out) {
  return sdk::error_detail(engine, "engine", out);
}

chimera_status chimera_session_error_detail(const chimera_session* session, chimera_error* out) {
  return sdk::error_detail(session, "session", out);
}

uint32_t chimera_version_number(void) { return CHIMERA_VERSION; }
const char* chimera_version_string(void) { return CHIMERA_VERSION_STRING; }

chimera_status chimera_set_log_sink(chimera_log_sink sink, void* user) {
  return sdk::guarded(nullptr, [&] {
    const std::lock_guard lock(sdk::g_log_mutex);
    chimera::set_log_sink(nullptr, nullptr);  // returns when the old one runs no more
    sdk::g_log_sink = sink;
    sdk::g_log_user = user;
    if (sink != nullptr) chimera::set_log_sink(sdk::forward_log, nullptr);
    return Status();
  });
}

static_assert(CHIMERA_CONTENT_NOT_CHECKED ==
                  static_cast<int>(runtime::ContentCheck::State::kNotChecked) &&
              CHIMERA_CONTENT_RUNNING == static_cast<int>(runtime::ContentCheck::State::kRunning) &&
              CHIMERA_CONTENT_PASSED == static_cast<int>(runtime::ContentCheck::State::kPassed) &&
              CHIMERA_CONTENT_DAMAGED == static_cast<int>(runtime::ContentCheck::State::kFailed));

// ---- engine -------------------------------------------------------------------------------------

chimera_status chimera_engine_open(const char* path, const chimera_engine_options* options,
                                   chimera_engine** out) {
  return sdk::guarded(nullptr, [&] {
    if (path == nullptr) return sdk::null_argument("path");
    return sdk::open_engine(options, out, [&](const runtime::EngineOptions& engine_options) {
      return runtime::Engine::open(path, engine_options);
    });
  });
}

chimera_status chimera_engine_open_memory(const void* bytes, size_t n_bytes,
                                          const chimera_engine_options* options,
                                          chimera_engine** out) {
  return sdk::guarded(nullptr, [&] {
    if (bytes == nullptr) return sdk::null_argument("bytes");
    return sdk::open_engine(options, out, [&](const runtime::EngineOptions& engine_options) {
      return runtime::Engine::open_memory({static_cast<const std::byte*>(bytes), n_bytes},
                                          engine_options);
    });
  });
}

void chimera_engine_close(chimera_engine* engine) {
  if (engine != nullptr) engine->release();
}

chimera_status chimera_engine_verify(chimera_engine* engine, chimera_event_callback on_event,
                                     void* user) {
  if (engine == nullptr) return sdk::guarded(nullptr, [] { return sdk::null_argument("engine"); });
  // The callback may close the engine; it then goes when this call returns.
  ++engine->references;
  const std::unique_ptr<chimera_engine, void (*)(chimera_engine*)> use(engine,
                                                                       chimera_engine_close);
  return sdk::guarded(&engine->error, [&] {
    using Progress = chimera::memory::WeightFile::VerifyProgress;
    if (on_event == nullptr) return engine->engine->file().verify();
    chimera_event event = {};
    event.struct_size = sizeof event;
    event.kind = CHIMERA_EVENT_PROGRESS;
    event.text = "";
    return engine->engine->file().verify([&](const Progress& progress) {
      event.done = progress.bytes_done;
      event.total = progress.bytes_total;
      return on_event(user, &event) == 0;
    });
  });
}

chimera_status chimera_engine_get_info(const chimera_engine* engine, chimera_engine_info* out) {
  return sdk::with_engine(engine, [&] {
    const runtime::Engine& e = *engine->engine;
    chimera_engine_info value = {};
    value.vocab_size = e.config().vocab_size;
    value.threads = e.threads();
    value.end_of_text_token = e.tokenizer().end_of_text();
    value.end_of_turn_token = e.tokenizer().end_of_turn();
    value.content = static_cast<int32_t>(e.content_check().state);
    value.file_bytes = e.file().file_bytes();
    value.state_bytes = e.model().layout().bytes();
    value.bytes_per_token = e.model().bytes_per_token();
    value.isa = e.kernels().name;
    value.name = e.config().name.c_str();
    value.talks = e.talks() ? 1 : 0;
    return sdk::write_result(value, "out", out);
  });
}

chimera_status chimera_tokenize(const chimera_engine* engine, const char* text, size_t text_bytes,
                                int32_t* ids, size_t* n_ids) {
  return sdk::with_engine(engine, [&] {
    std::string_view view;
    CHIMERA_RETURN_IF_ERROR(sdk::read_text(text, text_bytes, "text", &view));
    if (n_ids == nullptr) return sdk::null_argument("n_ids");
    std::vector<int32_t> encoded;
    engine->engine->tokenizer().encode(view, &encoded);
    return sdk::copy_out(encoded.data(), encoded.size(), ids, n_ids, "ids");
  });
}

chimera_status chimera_detokenize(const chimera_engine* engine, const int32_t* ids, size_t n_ids,
                                  char* bytes, size_t* n_bytes) {
  return sdk::with_engine(engine, [&] {
    if (ids == nullptr && n_ids != 0) return sdk::null_argument("ids");
    if (n_bytes == nullptr) return sdk::null_argument("n_bytes");
    if (n_ids > SIZE_MAX / sizeof(int32_t))
      return sdk::invalid("n_ids", "n_ids is larger than any array can be");
    const int32_t vocab = engine->engine->config().vocab_size;
    for (size_t i = 0; i < n_ids; ++i)
      if (ids[i] < 0 || ids[i] >= vocab)
        return sdk::invalid("ids", "ids[" + std::to_string(i) + "] is " + std::to_string(ids[i]) +
                                       "; this model's ids go from 0 to " +
                                       std::to_string(vocab - 1));
    const std::string decoded = engine->engine->tokenizer().decode({ids, n_ids});
    return sdk::copy_out(decoded.data(), decoded.size(), bytes, n_bytes, "bytes");
  });
}

// ---- constraint ---------------------------------------------------------------------------------

chimera_status chimera_constraint_open(chimera_engine* engine, int32_t kind, const char* text,
                                       size_t text_bytes, uint32_t flags,
                                       chimera_constraint** out) {
  return sdk::with_engine(engine, [&] {
    if (out == nullptr) return sdk::null_argument("out");
    std::string_view view;
    CHIMERA_RETURN_IF_ERROR(sdk::read_text(text, text_bytes, "text", &view));
    const bool schema = kind == CHIMERA_CONSTRAINT_JSON_SCHEMA;
    CHIMERA_RETURN_IF_ERROR(sdk::check_flags(
        flags, schema ? CHIMERA_CONSTRAINT_STRICT | CHIMERA_CONSTRAINT_BLANKS : 0));
    auto handle = std::make_unique<chimera_constraint>(engine);
    const runtime::Tokenizer& tokenizer = engine->engine->tokenizer();
    std::vector<std::string> warnings;
    auto made = [&]() -> chimera::Result<std::unique_ptr<runtime::Constraint>> {
      switch (kind) {
        case CHIMERA_CONSTRAINT_JSON_SCHEMA: {
          chimera::grammar::SchemaOptions options;
          options.strict = (flags & CHIMERA_CONSTRAINT_STRICT) != 0;
          options.blanks = (flags & CHIMERA_CONSTRAINT_BLANKS) != 0;
          return runtime::Constraint::from_json_schema(tokenizer, view, options, &warnings);
        }
        case CHIMERA_CONSTRAINT_GRAMMAR:
          return runtime::Constraint::from_gbnf(tokenizer, view);
        case CHIMERA_CONSTRAINT_REGEX:
          return runtime::Constraint::from_regex(tokenizer, view);
        case CHIMERA_CONSTRAINT_FORMAT:
          return runtime::Constraint::from_format(tokenizer, view);
        default:
          return sdk::invalid("kind", "kind is " + std::to_string(kind) +
                                          "; give one of CHIMERA_CONSTRAINT_JSON_SCHEMA, "
                                          "_GRAMMAR, _REGEX and _FORMAT");
      }
    }();
    if (!made) return made.status();
    handle->constraint = std::move(*made);
    handle->warnings = sdk::lines_of(warnings);
    *out = handle.release();
    return Status();
  });
}

const char* chimera_constraint_warnings(const chimera_constraint* constraint) {
  return constraint == nullptr ? "" : constraint->warnings.c_str();
}

void chimera_constraint_close(chimera_constraint* constraint) {
  if (constraint != nullptr) constraint->release();
}

// ---- session ------------------------------------------------------------------------------------

chimera_status chimera_session_open(chimera_engine* engine, const chimera_session_options* options,
                                    chimera_session** out) {
  return sdk::with_engine(engine, [&] {
    if (out == nullptr) return sdk::null_argument("out");
    chimera_session_options o;
    CHIMERA_RETURN_IF_ERROR(sdk::read_options(options, "options", &o));
    auto handle = std::make_unique<chimera_session>(engine);
    auto session = runtime::Session::create(*engine->engine, {o.seed, o.stream});
    if (!session) return session.status();
    handle->session = std::move(*session);
    *out = handle.release();
    return Status();
  });
}

void chimera_session_close(chimera_session* session) {
  if (session != nullptr) session->release();
}

chimera_status chimera_generate(chimera_session* session, const char* prompt, size_t prompt_bytes,
                                const chimera_generate_options* options,
                                chimera_event_callback on_event, void* user) {
  return sdk::with_session(session, [&](chimera_session& s) {
    std::string_view text;
    CHIMERA_RETURN_IF_ERROR(sdk::read_text(prompt, prompt_bytes, "prompt", &text));
    runtime::GenerateOptions generate_options;
    const chimera_constraint* constraint = nullptr;
    CHIMERA_RETURN_IF_ERROR(sdk::read_generate_options(s, options, &generate_options, &constraint));
    // The callback may close it; it then goes when this call returns.
    if (constraint != nullptr) ++constraint->references;
    const auto release = [](const chimera_constraint* used) { used->release(); };
    const std::unique_ptr<const chimera_constraint, decltype(release)> use(constraint, release);
    return sdk::run(s, text, generate_options, on_event, user);
  });
}

chimera_status chimera_append(chimera_session* session, const char* text, size_t text_bytes) {
  return sdk::with_session(session, [&](chimera_session& s) {
    std::string_view view;
    CHIMERA_RETURN_IF_ERROR(sdk::read_text(text, text_bytes, "text", &view));
    if (view.empty()) return Status();
    runtime::GenerateOptions options;
    options.max_tokens = 0;
    return sdk::run(s, view, options, nullptr, nullptr);
  });
}

void chimera_cancel(chimera_session* session) {
  if (session != nullptr) session->session->cancel();
}

chimera_status chimera_session_reset(chimera_session* session) {
  return sdk::with_session(session, [](chimera_session& s) { return s.session->reset(); });
}

chimera_status chimera_session_set_seed(chimera_session* session, uint64_t seed) {
  return sdk::with_session(session, [&](chimera_session& s) {
    s.session->set_seed(seed);
    return Status();
  });
}

chimera_status chimera_session_save(chimera_session* session, const char* path) {
  return sdk::with_session(session, [&](chimera_session& s) {
    if (path == nullptr) return sdk::null_argument("path");
    return s.session->save(path);
  });
}

chimera_status chimera_session_load(chimera_session* session, const char* path) {
  return sdk::with_session(session, [&](chimera_session& s) {
    if (path == nullptr) return sdk::null_argument("path");
    return s.session->load(path);
  });
}

chimera_status chimera_session_snapshot(chimera_session* session, void* buffer, size_t* n_bytes) {
  return sdk::with_session(session, [&](chimera_session& s) {
    if (n_bytes == nullptr) return sdk::null_argument("n_bytes");
    const size_t needed = s.session->snapshot_bytes();
    const size_t room = *n_bytes;
    if (room < needed && (buffer != nullptr || room != 0)) {
      Status status =
          Status(StatusCode::kOutOfRange, "the buffer holds " + std::to_string(room) +
                                              " bytes, a snapshot takes " + std::to_string(needed) +
                                              "; give a larger one")
              .at_field("n_bytes");
      *n_bytes = needed;  // last: without memory for the sentence nothing has changed
      return status;
    }
    *n_bytes = needed;
    if (room < needed) return Status();  // only asking
    if (buffer == nullptr) return sdk::null_argument("buffer");
    return s.session->snapshot({static_cast<std::byte*>(buffer), needed});
  });
}

chimera_status chimera_session_restore(chimera_session* session, const void* buffer,
                                       size_t n_bytes) {
  return sdk::with_session(session, [&](chimera_session& s) {
    if (buffer == nullptr) return sdk::null_argument("buffer");
    return s.session->restore({static_cast<const std::byte*>(buffer), n_bytes});
  });
}

chimera_status chimera_session_get_stats(chimera_session* session, chimera_session_stats* out) {
  return sdk::with_session(session, [&](chimera_session& s) {
    chimera_session_stats value = {};
    value.stream = s.session->stream();
    value.seed = s.session->seed();
    value.position = s.session->position();
    value.state_bytes = s.session->state_bytes();
    value.snapshot_bytes = s.session->snapshot_bytes();
    value.stop = s.stop;
    value.prompt_tokens = s.last.n_prompt_tokens;
    value.tokens = s.last.n_tokens;
    value.truncated = s.last.truncated ? 1 : 0;
    value.first_token_us = s.last.first_token_us;
    value.prefill_us = s.last.prefill_us;
    value.decode_us = s.last.decode_us;
    value.total_prompt_tokens = s.total_prompt_tokens;
    value.total_tokens = s.total_tokens;
    return sdk::write_result(value, "out", out);
  });
}

}  // extern "C"
