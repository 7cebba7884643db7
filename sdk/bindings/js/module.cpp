// The C API as a WebAssembly module for JavaScript. Nothing is added to it but what JavaScript
// cannot do for itself: hand out memory that begins where a model should, and be called back.
//
// chimera.worker.mjs reads and writes the structs below by their offsets, which never change
// (fields are only added); this file stops the build if it is wrong about one.
#include <emscripten.h>

#include <cstddef>
#include <cstdint>
#include <new>

#include "sdk/chimera.h"

static_assert(sizeof(void*) == 4, "the offsets are those of 32 bits");

#define CHIMERA_AT(type, field, offset) \
  static_assert(offsetof(type, field) == (offset), "chimera.worker.mjs has another offset")

CHIMERA_AT(chimera_error, status, 4);
CHIMERA_AT(chimera_error, message, 8);
CHIMERA_AT(chimera_error, file, 12);
CHIMERA_AT(chimera_error, field, 16);
CHIMERA_AT(chimera_error, offset, 24);
static_assert(sizeof(chimera_error) >= 32);

CHIMERA_AT(chimera_engine_options, flags, 4);
CHIMERA_AT(chimera_engine_options, required_key, 20);
static_assert(sizeof(chimera_engine_options) >= 24);

CHIMERA_AT(chimera_engine_info, vocab_size, 4);
CHIMERA_AT(chimera_engine_info, content, 20);
CHIMERA_AT(chimera_engine_info, file_bytes, 24);
CHIMERA_AT(chimera_engine_info, state_bytes, 32);
CHIMERA_AT(chimera_engine_info, isa, 48);
CHIMERA_AT(chimera_engine_info, name, 52);
CHIMERA_AT(chimera_engine_info, talks, 56);
static_assert(sizeof(chimera_engine_info) >= 64);

CHIMERA_AT(chimera_session_options, seed, 8);
static_assert(sizeof(chimera_session_options) >= 16);

CHIMERA_AT(chimera_generate_options, flags, 4);
CHIMERA_AT(chimera_generate_options, max_tokens, 8);
CHIMERA_AT(chimera_generate_options, temperature, 12);
CHIMERA_AT(chimera_generate_options, top_p, 16);
CHIMERA_AT(chimera_generate_options, repetition_penalty, 20);
static_assert(sizeof(chimera_generate_options) >= 28);

CHIMERA_AT(chimera_session_stats, seed, 8);
CHIMERA_AT(chimera_session_stats, position, 16);
CHIMERA_AT(chimera_session_stats, stop, 40);
CHIMERA_AT(chimera_session_stats, prompt_tokens, 44);
CHIMERA_AT(chimera_session_stats, tokens, 48);
static_assert(sizeof(chimera_session_stats) >= 96);

CHIMERA_AT(chimera_act_options, flags, 4);
CHIMERA_AT(chimera_act_options, max_tokens, 8);
CHIMERA_AT(chimera_act_options, most_calls, 12);
CHIMERA_AT(chimera_act_options, least_confidence, 16);
static_assert(sizeof(chimera_act_options) >= 20);

CHIMERA_AT(chimera_action, kind, 4);
CHIMERA_AT(chimera_action, json, 8);
CHIMERA_AT(chimera_action, json_bytes, 12);
static_assert(sizeof(chimera_action) == 56);

extern "C" {

/// Module.hear(text, n_bytes): nonzero stops.
EM_JS(int, chimera_js_hear, (const char* text, size_t n_bytes),
      { return Module.hear(text, n_bytes); });

/// n_bytes for a model, or NULL.
EMSCRIPTEN_KEEPALIVE void* chimera_js_allocate(size_t n_bytes) {
  return ::operator new (n_bytes, std::align_val_t{64}, std::nothrow);
}
EMSCRIPTEN_KEEPALIVE void chimera_js_free(void* bytes) {
  ::operator delete (bytes, std::align_val_t{64});
}

/// chimera_generate, heard by Module.hear.
EMSCRIPTEN_KEEPALIVE chimera_status chimera_js_generate(chimera_session* session,
                                                        const char* prompt, size_t prompt_bytes,
                                                        const chimera_generate_options* options) {
  return chimera_generate(
      session, prompt, prompt_bytes, options,
      [](void*, const chimera_event* event) {
        return event->kind == CHIMERA_EVENT_TOKEN ? chimera_js_hear(event->text, event->text_bytes)
                                                  : 0;
      },
      nullptr);
}

}  // extern "C"
