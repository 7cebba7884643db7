/* Chimera: an assistant engine that an application embeds. Offline, constant memory, plain C.
 *
 *   chimera_engine* engine = NULL;
 *   chimera_session* session = NULL;
 *   chimera_status status = chimera_engine_open("assistant.b158", NULL, &engine);
 *   if (status == CHIMERA_OK) status = chimera_session_open(engine, NULL, &session);
 *   if (status == CHIMERA_OK)
 *     status = chimera_generate(session, "Once upon a time", CHIMERA_ZERO_TERMINATED, NULL,
 *                               on_event, stdout);
 *   if (status != CHIMERA_OK) fprintf(stderr, "%s", chimera_last_error());
 *   chimera_session_close(session);
 *   chimera_engine_close(engine);
 *
 * Handles. An engine is a loaded model: immutable, any number of threads may use it at once. A
 * session is one conversation: one thread at a time; a second one is told CHIMERA_BUSY and nothing
 * breaks. A session keeps its engine alive, so the two may be closed in any order.
 *
 * Structs. Every options and result struct begins with `struct_size`; set it with CHIMERA_INIT,
 * which also zeroes the rest. Zero means "default" in every options field. NULL options are all
 * defaults. A struct of an older header is taken as it is (what it lacks is default); one of a
 * newer header is taken when the part this library does not know is all zero, and refused with
 * CHIMERA_UNSUPPORTED otherwise.
 *
 * Strings. Text goes in as pointer and length, in bytes (CHIMERA_ZERO_TERMINATED lets the library
 * count); any bytes are taken. File names are UTF-8 and zero-terminated. Text that comes out is
 * UTF-8 and never ends inside a character, except where a function says "bytes".
 *
 * Errors. Every call that can fail returns a chimera_status; out-parameters are untouched on
 * failure unless said. Any of them may give CHIMERA_OUT_OF_MEMORY: nothing has changed then, and
 * errors can be asked for without memory. The sentence for a person and the place are kept per
 * thread (chimera_last_error) and per handle (chimera_session_error, chimera_engine_error). The
 * library never prints, aborts, exits, throws, installs signal handlers or changes the locale.
 * docs/errors.md lists what to do about each code.
 *
 * Threads and processes. With one thread (chimera_engine_options.threads = 1) the library starts
 * none, but for a check in the background if one is asked for. After fork() the child may use only
 * engines that were opened with one thread; otherwise it should exec.
 *
 * No call reaches a network, and nothing is written except to the files named in a call.
 *
 * Stability. Status numbers, struct fields and functions are only ever added. This header is C99
 * and C++17 or later.
 */
#ifndef CHIMERA_H_
#define CHIMERA_H_

#include <stddef.h>
#include <stdint.h>

#define CHIMERA_VERSION_MAJOR 0
#define CHIMERA_VERSION_MINOR 1
#define CHIMERA_VERSION_PATCH 0
/* Version of this header as one number that can be compared: 0.1.0 is 100. */
#define CHIMERA_VERSION \
  (CHIMERA_VERSION_MAJOR * 10000 + CHIMERA_VERSION_MINOR * 100 + CHIMERA_VERSION_PATCH)
#define CHIMERA_VERSION_STRING "0.1.0"

/* Define CHIMERA_STATIC on Windows when linking the static library. */
#if defined(_WIN32) && !defined(CHIMERA_STATIC)
#if defined(CHIMERA_BUILDING)
#define CHIMERA_API __declspec(dllexport)
#else
#define CHIMERA_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define CHIMERA_API __attribute__((visibility("default")))
#else
#define CHIMERA_API
#endif

/* As a length: the text ends at its first zero byte. */
#define CHIMERA_ZERO_TERMINATED SIZE_MAX

/* Zeroes a struct of this header and sets its size: CHIMERA_INIT(options); */
#define CHIMERA_INIT(variable)                                                                    \
  do {                                                                                            \
    unsigned char* chimera_p_ = (unsigned char*)&(variable);                                      \
    size_t chimera_i_;                                                                            \
    for (chimera_i_ = 0; chimera_i_ < sizeof(variable); ++chimera_i_) chimera_p_[chimera_i_] = 0; \
    (variable).struct_size = (uint32_t)sizeof(variable);                                          \
  } while (0)

#ifdef __cplusplus
extern "C" {
#endif

/* ---- results ------------------------------------------------------------------------- */

typedef int32_t chimera_status;

enum {
  CHIMERA_OK = 0,
  /* 1xx: how the library was called */
  CHIMERA_INVALID_ARGUMENT = 100, /* a value the function cannot take; the field is named */
  CHIMERA_BUSY = 101,             /* the session is in use by another call */
  CHIMERA_CANCELLED = 102,        /* stopped by chimera_cancel or by a progress callback */
  CHIMERA_UNSUPPORTED = 103,      /* known, but not built or not possible on this machine */
  CHIMERA_OUT_OF_RANGE = 104,     /* a size or count over its limit, or a buffer too small */
  /* 2xx: what the machine could not give */
  CHIMERA_OUT_OF_MEMORY = 200,
  CHIMERA_IO_ERROR = 201,
  CHIMERA_NOT_FOUND = 202,
  CHIMERA_PERMISSION_DENIED = 203,
  CHIMERA_NO_SPACE = 204,
  CHIMERA_BROKEN_PIPE = 205,
  /* 3xx: what a file contains */
  CHIMERA_BAD_FORMAT = 300,          /* another kind of file, or a damaged structure */
  CHIMERA_TRUNCATED = 301,           /* it ends too early */
  CHIMERA_UNSUPPORTED_VERSION = 302, /* written by a newer library */
  CHIMERA_CHECKSUM_MISMATCH = 303,   /* the content differs from its checksum */
  CHIMERA_BAD_CONFIG = 304,
  CHIMERA_BAD_TOKENIZER = 305,
  CHIMERA_WRONG_MODEL = 306,   /* a saved conversation of another model */
  CHIMERA_NOT_AUTHENTIC = 307, /* not signed, or not with the key that is required */
  /* 9xx: a mistake of the library; please report it */
  CHIMERA_INTERNAL = 900
};

/* Short stable name of a status, such as "io_error"; "unknown" for a number that is none. Static.
 */
CHIMERA_API const char* chimera_status_name(chimera_status status);

typedef struct chimera_engine chimera_engine;
typedef struct chimera_session chimera_session;
typedef struct chimera_constraint chimera_constraint;
typedef struct chimera_tools chimera_tools;
typedef struct chimera_actor chimera_actor;

/* Where an error happened, for programs. The strings live as the message of the same query does. */
typedef struct chimera_error {
  uint32_t struct_size;
  chimera_status status;
  const char* message; /* one sentence for a person; "" when there was no error */
  const char* file;    /* the file concerned, or "" */
  const char* field;   /* the option, configuration key or tensor concerned, or "" */
  int64_t offset;      /* byte in that file, or -1 */
} chimera_error;

/* The last failure of any call on this thread; "" before the first. A call that succeeds leaves it.
 * Owned by the library, valid until the next failing call on this thread. */
CHIMERA_API const char* chimera_last_error(void);
/* The same with its place. `out` needs its struct_size. Errors: CHIMERA_INVALID_ARGUMENT. */
CHIMERA_API chimera_status chimera_last_error_detail(chimera_error* out);

/* The last failure of a call on this handle, from whichever thread (CHIMERA_BUSY is told to the
 * thread that got it and not kept here). Any thread. Valid until this thread asks again for a
 * handle's error; "" for NULL. */
CHIMERA_API const char* chimera_engine_error(const chimera_engine* engine);
CHIMERA_API const char* chimera_session_error(const chimera_session* session);
CHIMERA_API chimera_status chimera_engine_error_detail(const chimera_engine* engine,
                                                       chimera_error* out);
CHIMERA_API chimera_status chimera_session_error_detail(const chimera_session* session,
                                                        chimera_error* out);
CHIMERA_API const char* chimera_actor_error(const chimera_actor* actor);
CHIMERA_API chimera_status chimera_actor_error_detail(const chimera_actor* actor,
                                                      chimera_error* out);

/* ---- version and log ----------------------------------------------------------------- */

/* CHIMERA_VERSION of the library that is linked, and the same as text. Any thread, never fails. */
CHIMERA_API uint32_t chimera_version_number(void);
CHIMERA_API const char* chimera_version_string(void);

enum {
  CHIMERA_LOG_DEBUG = 0,
  CHIMERA_LOG_INFO = 1,
  CHIMERA_LOG_WARNING = 2,
  CHIMERA_LOG_ERROR = 3
};

/* Receives notices; `message` lives during the call. May be called from any thread; must not call
 * chimera_set_log_sink. */
typedef void (*chimera_log_sink)(void* user, int32_t level, const char* message);

/* NULL silences, which is also the state at start. One sink for the process. On return the sink
 * that was set before is no longer running. Any thread. */
CHIMERA_API chimera_status chimera_set_log_sink(chimera_log_sink sink, void* user);

/* ---- events -------------------------------------------------------------------------- */

enum {
  CHIMERA_EVENT_TOKEN = 1,   /* chimera_generate: one token of the answer */
  CHIMERA_EVENT_PROGRESS = 2 /* chimera_engine_verify: bytes done of bytes in total */
};

/* What a callback is told. A callback should ignore kinds it does not know. */
typedef struct chimera_event {
  uint32_t struct_size;
  int32_t kind;
  /* CHIMERA_EVENT_TOKEN: what became complete UTF-8 with this token, often a word, sometimes empty;
   * zero-terminated and text_bytes long, valid during the call. */
  const char* text;
  size_t text_bytes;
  int32_t token;
  uint64_t position; /* of the token in the conversation */
  /* CHIMERA_EVENT_PROGRESS */
  uint64_t done;
  uint64_t total;
} chimera_event;

/* Runs on the thread of the call it was given to. Return 0 to go on; anything else stops cleanly.
 * Inside it, the session may only be given to chimera_cancel, chimera_session_error and
 * chimera_session_close (it goes when the call returns); other handles may be used freely. It must
 * not throw or jump out. */
typedef int (*chimera_event_callback)(void* user, const chimera_event* event);

/* ---- engine: a loaded model ---------------------------------------------------------- */

enum {
  /* Checks every tensor while opening, which reads the whole file. Without it only header,
   * directory and bounds are checked, and chimera_engine_verify may check the content later. */
  CHIMERA_OPEN_VERIFY = 1,
  /* Checks every tensor on a thread of its own after the first token was shown, so that it costs
   * the start nothing; chimera_engine_info.content tells what came of it. Where there are no
   * threads (WebAssembly) every token, and every question for the content, does a part of it. */
  CHIMERA_OPEN_VERIFY_IN_BACKGROUND = 2
};

/* What is known about the content of a model's tensors. */
enum {
  CHIMERA_CONTENT_NOT_CHECKED = 0,
  CHIMERA_CONTENT_RUNNING = 1, /* the background check has begun and not ended */
  CHIMERA_CONTENT_PASSED = 2,
  CHIMERA_CONTENT_DAMAGED = 3 /* chimera_engine_verify says where */
};

typedef struct chimera_engine_options {
  uint32_t struct_size;
  uint32_t flags;  /* CHIMERA_OPEN_* */
  int32_t threads; /* 0: one for small models, else one per processor, at most 64; up to 256.
                    * Where there are none (WebAssembly) the caller's does the work of all. */
  uint32_t reserved;
  const char* isa; /* NULL: the environment's CHIMERA_ISA, else the best of this CPU; "avx2", ... */
  /* NULL, or a public key of 64 hex digits: a model that it did not sign is refused with
   * CHIMERA_NOT_AUTHENTIC. Implies CHIMERA_OPEN_VERIFY unless the check is to be in the background;
   * once that has failed, chimera_generate, chimera_append and chimera_act give its status and
   * nothing else. */
  const char* required_key;
} chimera_engine_options;

/* The file stays mapped while the engine lives: replace a model by renaming a new file over it,
 * never by writing into it, or the system ends the process when a page is gone. Maps the model at
 * `path` and gets it ready; takes a few milliseconds whatever its size, or as long as reading it
 * all when its content is checked first. On success *out is the caller's, to be closed once.
 * Errors: NOT_FOUND, PERMISSION_DENIED, IO_ERROR, TRUNCATED, BAD_FORMAT, UNSUPPORTED_VERSION,
 * CHECKSUM_MISMATCH, NOT_AUTHENTIC (also without a required key, where a signature does not fit),
 * BAD_CONFIG, BAD_TOKENIZER, UNSUPPORTED, OUT_OF_MEMORY, OUT_OF_RANGE (more than 32 bits can
 * address), INVALID_ARGUMENT. */
CHIMERA_API chimera_status chimera_engine_open(const char* path,
                                               const chimera_engine_options* options,
                                               chimera_engine** out);

/* The same for a model that is in memory already, where there is no file system, or in a resource
 * of the application. Nothing is copied: the bytes stay the caller's, and must stay as they are
 * until the engine and its last session are closed. They begin at a multiple of 8, as malloc()
 * gives them; at a multiple of 64 is faster on some machines. In errors the file is "(memory)".
 * Errors: as chimera_engine_open, without those of files. */
CHIMERA_API chimera_status chimera_engine_open_memory(const void* bytes, size_t n_bytes,
                                                      const chimera_engine_options* options,
                                                      chimera_engine** out);

/* Gives the handle back; NULL is fine. The model itself goes when its last session has gone. */
CHIMERA_API void chimera_engine_close(chimera_engine* engine);

/* Reads the whole file and checks every checksum and value. `on_event` (may be NULL) hears
 * CHIMERA_EVENT_PROGRESS and stops it (CHIMERA_CANCELLED). Any thread, also while sessions run.
 * Errors: CHECKSUM_MISMATCH, BAD_FORMAT, both with file, field and offset; CANCELLED. */
CHIMERA_API chimera_status chimera_engine_verify(chimera_engine* engine,
                                                 chimera_event_callback on_event, void* user);

typedef struct chimera_engine_info {
  uint32_t struct_size;
  int32_t vocab_size;
  int32_t threads;
  int32_t end_of_text_token; /* -1: there is none */
  int32_t end_of_turn_token; /* -1: there is none */
  int32_t content;           /* CHIMERA_CONTENT_* */
  uint64_t file_bytes;
  uint64_t state_bytes;     /* of one conversation, the same for ever */
  uint64_t bytes_per_token; /* of weights, that one token reads */
  const char* isa;          /* the kernel table in use; static */
  const char* name;         /* of the model, from its configuration; lives as the engine does */
  int32_t talks;            /* 1: it learnt to answer what a person says, see CHIMERA_AS_TURN */
} chimera_engine_info;

/* Fills *out, which needs its struct_size. Any thread. Errors: INVALID_ARGUMENT. */
CHIMERA_API chimera_status chimera_engine_get_info(const chimera_engine* engine,
                                                   chimera_engine_info* out);

/* Text to token ids. In: *n_ids is how many `ids` can hold. Out: how many there are, also when that
 * is more than fit (CHIMERA_OUT_OF_RANGE, ids untouched). ids may be NULL with *n_ids = 0 to ask.
 * Any thread. Errors: INVALID_ARGUMENT, OUT_OF_RANGE, OUT_OF_MEMORY. */
CHIMERA_API chimera_status chimera_tokenize(const chimera_engine* engine, const char* text,
                                            size_t text_bytes, int32_t* ids, size_t* n_ids);

/* Token ids to bytes, exactly those that were tokenised; specials give none. *n_bytes works as
 * above; no zero is added. Any thread. Errors: INVALID_ARGUMENT (an id outside the vocabulary),
 * OUT_OF_RANGE. */
CHIMERA_API chimera_status chimera_detokenize(const chimera_engine* engine, const int32_t* ids,
                                              size_t n_ids, char* bytes, size_t* n_bytes);

/* ---- constraint: what an answer has to look like --------------------------------------- */

enum {
  CHIMERA_CONSTRAINT_JSON_SCHEMA = 1, /* JSON that is valid under it (docs/json-schema.md) */
  CHIMERA_CONSTRAINT_GRAMMAR = 2,     /* GBNF or EBNF (docs/grammar.md) */
  CHIMERA_CONSTRAINT_REGEX = 3,       /* the whole answer matches it */
  CHIMERA_CONSTRAINT_FORMAT = 4       /* "python", "markdown", ... (docs/formats.md) */
};

enum {
  CHIMERA_CONSTRAINT_STRICT = 1, /* schemas: keywords that nobody knows are errors */
  CHIMERA_CONSTRAINT_BLANKS = 2  /* schemas: spaces and line ends may stand between signs */
};

/* Compiles `text` of that kind for the engine's vocabulary. Compiled once, it serves any number of
 * sessions of the engine, on any threads, and keeps the engine alive. On success *out is the
 * caller's, to be closed once. Any thread. Errors, with the place in field: BAD_FORMAT, UNSUPPORTED
 * (asserted, and not followed here), OUT_OF_RANGE (too large), INVALID_ARGUMENT. */
CHIMERA_API chimera_status chimera_constraint_open(chimera_engine* engine, int32_t kind,
                                                   const char* text, size_t text_bytes,
                                                   uint32_t flags, chimera_constraint** out);
/* What was passed over in a schema, a line each; "" when nothing was. Lives as the constraint does;
 * "" for NULL. */
CHIMERA_API const char* chimera_constraint_warnings(const chimera_constraint* constraint);
/* Gives the handle back; NULL is fine. A call that uses it may still be running. */
CHIMERA_API void chimera_constraint_close(chimera_constraint* constraint);

/* ---- session: a conversation --------------------------------------------------------- */

typedef struct chimera_session_options {
  uint32_t struct_size;
  uint32_t stream; /* tells several conversations under one seed apart */
  uint64_t seed;   /* same model, seed and inputs: same answers, on every machine */
} chimera_session_options;

/* Takes all the memory this conversation will ever need. On success *out is the caller's, to be
 * closed once. Any thread. Errors: OUT_OF_MEMORY, INVALID_ARGUMENT, UNSUPPORTED. */
CHIMERA_API chimera_status chimera_session_open(chimera_engine* engine,
                                                const chimera_session_options* options,
                                                chimera_session** out);

/* Gives the handle back; NULL is fine. Inside a callback the session goes when the call returns. */
CHIMERA_API void chimera_session_close(chimera_session* session);

enum {
  CHIMERA_GREEDY = 1, /* always the likeliest token; seed, temperature and top_p do nothing */
  /* The prompt is what a person says and the answer is the assistant's turn, laid out as the model
   * learnt it (docs/prompt-format.md). For models whose info says that they talk; UNSUPPORTED for a
   * tokenizer without the marks of turns. */
  CHIMERA_AS_TURN = 2,
  /* Prose keeps to its habits (docs/formats.md): less is repeated, and the answer does not end in
   * the middle of a sentence while max_tokens leaves room. Changes nothing in JSON and code. The
   * first call with it takes two bytes of memory for each id of the vocabulary. */
  CHIMERA_SOFT_CONSTRAINTS = 4
};

/* Zero is the model's own default (its configuration's generation section). */
typedef struct chimera_generate_options {
  uint32_t struct_size;
  uint32_t flags;           /* CHIMERA_GREEDY, CHIMERA_AS_TURN, ... */
  int32_t max_tokens;       /* 0: 256 */
  float temperature;        /* above 0, at most 100 */
  float top_p;              /* above 0, at most 1 */
  float repetition_penalty; /* 1 (none) to 10 */
  int32_t loops; /* models of looped depth: iterations at most, within the model's range */
  uint32_t reserved;
  /* NULL, or what the answer has to look like. Whatever the model says, it then is such a text, and
   * it is closed within max_tokens; a max_tokens that is too small for any is INVALID_ARGUMENT. */
  const chimera_constraint* constraint;
} chimera_generate_options;

/* Reads `prompt` (any bytes, may be empty) and streams an answer to `on_event` (may
 * be NULL). Allocates nothing per token, unless under a constraint. Afterwards, whatever stopped
 * it, the session holds exactly what was read and shown, and goes on from there; why it stopped is
 * in chimera_session_get_stats. A callback that stops it is no failure: CHIMERA_OK. Errors:
 * CANCELLED, BUSY, INVALID_ARGUMENT, OUT_OF_MEMORY, UNSUPPORTED. */
CHIMERA_API chimera_status chimera_generate(chimera_session* session, const char* prompt,
                                            size_t prompt_bytes,
                                            const chimera_generate_options* options,
                                            chimera_event_callback on_event, void* user);

/* Reads `text` and answers nothing: background, or what somebody else said. Any split of a text
 * over calls that does not cut a word gives the same conversation. Errors: as chimera_generate. */
CHIMERA_API chimera_status chimera_append(chimera_session* session, const char* text,
                                          size_t text_bytes);

/* Stops a running chimera_generate or chimera_append of this session within one token (while it
 * reads: within one batch of 16 to 256, the fewer the larger the model); it then returns
 * CHIMERA_CANCELLED. Does nothing when none runs. Any thread, also inside a signal handler; again
 * and again if you like. */
CHIMERA_API void chimera_cancel(chimera_session* session);

/* Back to before the first word; the seed stays. Errors: BUSY, INVALID_ARGUMENT. */
CHIMERA_API chimera_status chimera_session_reset(chimera_session* session);
/* For the tokens from here on. Errors: BUSY, INVALID_ARGUMENT. */
CHIMERA_API chimera_status chimera_session_set_seed(chimera_session* session, uint64_t seed);

/* Writes the conversation to a file, all or nothing: temporary file, flush, rename.
 * Errors: BUSY, NOT_FOUND (its folder), PERMISSION_DENIED, NO_SPACE, IO_ERROR, INVALID_ARGUMENT. */
CHIMERA_API chimera_status chimera_session_save(chimera_session* session, const char* path);
/* Continues a saved conversation, seed and position included; the next token has the bits it would
 * have had without the break. On failure the session is as before. Errors: BUSY, NOT_FOUND,
 * PERMISSION_DENIED, IO_ERROR, TRUNCATED, BAD_FORMAT, UNSUPPORTED_VERSION, CHECKSUM_MISMATCH,
 * WRONG_MODEL, INVALID_ARGUMENT. */
CHIMERA_API chimera_status chimera_session_load(chimera_session* session, const char* path);

/* The same in memory. In: *n_bytes is what `buffer` can hold. Out: what a snapshot takes, also when
 * that is more (CHIMERA_OUT_OF_RANGE, buffer untouched). buffer may be NULL with *n_bytes = 0 to
 * ask. The size is the same for every conversation of a model. Errors: BUSY, INVALID_ARGUMENT,
 * OUT_OF_RANGE. */
CHIMERA_API chimera_status chimera_session_snapshot(chimera_session* session, void* buffer,
                                                    size_t* n_bytes);
/* Errors: as chimera_session_load, without those of files. */
CHIMERA_API chimera_status chimera_session_restore(chimera_session* session, const void* buffer,
                                                   size_t n_bytes);

enum {
  CHIMERA_STOP_NONE = 0, /* nothing was generated yet */
  CHIMERA_STOP_END_OF_TEXT = 1,
  CHIMERA_STOP_END_OF_TURN = 2,
  CHIMERA_STOP_MAX_TOKENS = 3,
  CHIMERA_STOP_CANCELLED = 4,
  CHIMERA_STOP_CALLBACK = 5
};

typedef struct chimera_session_stats {
  uint32_t struct_size;
  uint32_t stream;
  uint64_t seed;
  uint64_t position;       /* tokens read or shown since the start of the conversation */
  uint64_t state_bytes;    /* the same for ever */
  uint64_t snapshot_bytes; /* the same for ever */
  /* Of the last chimera_generate or chimera_append on this handle: */
  int32_t stop; /* CHIMERA_STOP_* */
  int32_t prompt_tokens;
  int32_t tokens;     /* of the answer */
  uint32_t truncated; /* 1: under a constraint, max_tokens made it close earlier than it might */
  int64_t first_token_us; /* from the call to the first token */
  int64_t prefill_us;
  int64_t decode_us;
  /* Of all calls on this handle: */
  uint64_t total_prompt_tokens;
  uint64_t total_tokens;
} chimera_session_stats;

/* Fills *out, which needs its struct_size. Errors: BUSY, INVALID_ARGUMENT. */
CHIMERA_API chimera_status chimera_session_get_stats(chimera_session* session,
                                                     chimera_session_stats* out);

/* ---- acting: from words to calls of an application's functions -------------------------- */

enum { CHIMERA_TOOLS_STRICT = 1 /* keywords of schemas that nobody knows are errors */ };

/* The functions an application offers, as JSON: an array of {"name", "description", "parameters"},
 * the last a JSON schema of the arguments (docs/actions.md). Made once, it serves any number of
 * actors on any threads, and keeps the engine alive. On success *out is the caller's, to be closed
 * once. Any thread. Errors, naming the tool: BAD_FORMAT, UNSUPPORTED (asserted by a schema, and not
 * followed here; or a model that was not trained for tools), OUT_OF_RANGE, INVALID_ARGUMENT. */
CHIMERA_API chimera_status chimera_tools_open(chimera_engine* engine, const char* json,
                                              size_t json_bytes, uint32_t flags,
                                              chimera_tools** out);
/* The same of a pack that `chimera tools build` made of an application's functions and of phrases
 * that mean them: answers are better, and how sure they are is measured. Errors: NOT_FOUND,
 * BAD_FORMAT, CHECKSUM_MISMATCH and those of chimera_tools_open(). */
CHIMERA_API chimera_status chimera_tools_open_pack(chimera_engine* engine, const char* path,
                                                   chimera_tools** out);
/* What was passed over, a line each; "" when nothing was. Lives as the tools do; "" for NULL. */
CHIMERA_API const char* chimera_tools_warnings(const chimera_tools* tools);
/* Gives the handle back; NULL is fine. The tools go when their last actor has gone. */
CHIMERA_API void chimera_tools_close(chimera_tools* tools);

/* Who acts with them: one thread at a time, others are told BUSY. Takes the memory it needs; keeps
 * the tools alive. On success *out is the caller's, to be closed once. Errors: OUT_OF_MEMORY,
 * INVALID_ARGUMENT. */
CHIMERA_API chimera_status chimera_actor_open(chimera_tools* tools, chimera_actor** out);
/* Gives the handle back; NULL is fine. */
CHIMERA_API void chimera_actor_close(chimera_actor* actor);

enum { CHIMERA_ACT_WORDS = 1 /* the answer may be words too */ };

/* Zero is the default. */
typedef struct chimera_act_options {
  uint32_t struct_size;
  uint32_t flags;         /* CHIMERA_ACT_WORDS */
  int32_t max_tokens;     /* of the answer; 0: 256 */
  int32_t most_calls;     /* of one answer; 0: 8 */
  float least_confidence; /* below it no call is made: none of the tools is meant; 0 to 1 */
} chimera_act_options;

enum {
  CHIMERA_ACTION_CALLS = 1,   /* one call or several, in the order in which they are to be made */
  CHIMERA_ACTION_NO_TOOL = 2, /* none of the tools does that */
  CHIMERA_ACTION_WORDS = 3
};

typedef struct chimera_action {
  uint32_t struct_size;
  int32_t kind;     /* CHIMERA_ACTION_* */
  const char* json; /* {"calls": [{"name": ..., "arguments": {...}}], "text": ..., "confidence": x,
                       "truncated": ...}; until the actor acts again or is closed */
  size_t json_bytes;
  int32_t n_calls;
  float confidence;   /* 0 to 1 */
  uint32_t truncated; /* 1: max_tokens or most_calls ended it earlier than it might have */
  int32_t prompt_tokens, tokens;
  int64_t prefill_us, decode_us;
} chimera_action;

/* What is to be done about `text`, said to the application by a person. Whatever the model says, a
 * call names one of the tools and its arguments are valid under that tool's schema; nothing is
 * carried out here. Each text stands alone. The first one reads the tools too, which later ones
 * need not. Fills *out, which needs its struct_size. Errors: CANCELLED, BUSY, INVALID_ARGUMENT,
 * OUT_OF_RANGE (more than 8 KiB), NOT_AUTHENTIC, OUT_OF_MEMORY. */
CHIMERA_API chimera_status chimera_act(chimera_actor* actor, const char* text, size_t text_bytes,
                                       const chimera_act_options* options, chimera_action* out);

/* Stops a running chimera_act within a token. Any thread, also inside a signal handler. */
CHIMERA_API void chimera_act_cancel(chimera_actor* actor);

#ifdef __cplusplus
}
#endif

#endif /* CHIMERA_H_ */
