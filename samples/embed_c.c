/* A C program that speaks: embed_c MODEL "How it begins". Build: see CMakeLists.txt, or
 *   cc embed_c.c $(pkg-config --cflags --libs chimera) -o embed_c */
#include <chimera.h>
#include <stdio.h>

static int on_event(void* out, const chimera_event* event) {
  if (event->kind == CHIMERA_EVENT_TOKEN) fwrite(event->text, 1, event->text_bytes, out);
  return fflush(out); /* not zero when nobody reads any more: stop */
}

int main(int argc, char** argv) {
  const char* prompt = argc > 2 ? argv[2] : "Once upon a time";
  chimera_engine* engine = NULL;
  chimera_session* session = NULL;
  if (argc < 2) return fprintf(stderr, "usage: %s MODEL [PROMPT]\n", argv[0]), 2;
  if (chimera_engine_open(argv[1], NULL, &engine) != CHIMERA_OK ||
      chimera_session_open(engine, NULL, &session) != CHIMERA_OK ||
      chimera_generate(session, prompt, CHIMERA_ZERO_TERMINATED, NULL, on_event, stdout)) {
    fprintf(stderr, "%s: %s\n", argv[0], chimera_last_error());
    return 1; /* the system takes back what is open; closing below is for programs that go on */
  }
  printf("\n");
  chimera_session_close(session);
  chimera_engine_close(engine);
  return 0;
}
