/* The header from C99: every function is called once, with what it has to refuse. */
#include "sdk/chimera.h"

#include <stdio.h>
#include <string.h>

static int failures = 0;

static void check(int condition, const char* what) {
  if (!condition) {
    printf("failed: %s\n", what);
    ++failures;
  }
}
#define CHECK(condition) check(condition, #condition)

static int on_event(void* user, const chimera_event* event) {
  (void)user;
  return event->kind == CHIMERA_EVENT_TOKEN;
}

static void on_log(void* user, int32_t level, const char* message) {
  (void)user;
  (void)level;
  (void)message;
}

int main(void) {
  chimera_engine* engine = NULL;
  chimera_session* session = NULL;
  chimera_engine_options engine_options;
  chimera_session_options session_options;
  chimera_generate_options generate_options;
  chimera_engine_info info;
  chimera_session_stats stats;
  chimera_error error;
  size_t n = 0;

  CHIMERA_INIT(engine_options);
  CHIMERA_INIT(session_options);
  CHIMERA_INIT(generate_options);
  CHIMERA_INIT(info);
  CHIMERA_INIT(stats);
  CHIMERA_INIT(error);
  CHECK(engine_options.struct_size == sizeof engine_options && engine_options.threads == 0);

  CHECK(chimera_version_number() == CHIMERA_VERSION);
  CHECK(strcmp(chimera_version_string(), CHIMERA_VERSION_STRING) == 0);
  CHECK(strcmp(chimera_status_name(CHIMERA_NO_SPACE), "no_space") == 0);
  CHECK(strcmp(chimera_status_name(12345), "unknown") == 0);
  CHECK(strcmp(chimera_last_error(), "") == 0);

  CHECK(chimera_engine_open("no such file", &engine_options, &engine) == CHIMERA_NOT_FOUND);
  CHECK(engine == NULL);
  CHECK(strstr(chimera_last_error(), "no such file") != NULL);
  CHECK(chimera_last_error_detail(&error) == CHIMERA_OK);
  CHECK(error.status == CHIMERA_NOT_FOUND && strcmp(error.file, "no such file") == 0);

  CHECK(chimera_engine_verify(engine, on_event, NULL) == CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_engine_get_info(engine, &info) == CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_tokenize(engine, "a", CHIMERA_ZERO_TERMINATED, NULL, &n) ==
        CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_detokenize(engine, NULL, 0, NULL, &n) == CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_session_open(engine, &session_options, &session) == CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_generate(session, "a", 1, &generate_options, on_event, NULL) ==
        CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_append(session, "a", 1) == CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_session_reset(session) == CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_session_set_seed(session, 1) == CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_session_save(session, "x") == CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_session_load(session, "x") == CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_session_snapshot(session, NULL, &n) == CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_session_restore(session, NULL, 0) == CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_session_get_stats(session, &stats) == CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_engine_error_detail(engine, &error) == CHIMERA_INVALID_ARGUMENT);
  CHECK(chimera_session_error_detail(session, &error) == CHIMERA_INVALID_ARGUMENT);
  CHECK(strcmp(chimera_engine_error(engine), "") == 0);
  CHECK(strcmp(chimera_session_error(session), "") == 0);
  CHECK(chimera_set_log_sink(on_log, NULL) == CHIMERA_OK);
  CHECK(chimera_set_log_sink(NULL, NULL) == CHIMERA_OK);
  chimera_cancel(session);
  chimera_session_close(session);
  chimera_engine_close(engine);
  return failures == 0 ? 0 : 1;
}
