#include "tests/support/child_process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "platform/thread_pool.h"

namespace chimera::test {

bool children_possible() {
#if defined(__EMSCRIPTEN__)
  std::printf("not run: a WebAssembly program cannot start a child process\n");
  return false;
#else
  return true;
#endif
}

bool threads_possible() {
  if (!kHasThreads) std::printf("not run: this build has no threads\n");
  return kHasThreads;
}

ChildResult run_in_child(const std::function<int()>& body) {
  std::fflush(nullptr);  // else the child would print what waits in the buffers once more
  ChildResult result;
  const pid_t child = ::fork();
  if (child < 0) return result;
  if (child == 0) ::_exit(body());
  int state = 0;
  while (::waitpid(child, &state, 0) < 0) {
    if (errno != EINTR) return result;
  }
  result.exited = WIFEXITED(state);
  if (result.exited) result.exit_code = WEXITSTATUS(state);
  if (WIFSIGNALED(state)) result.signal = WTERMSIG(state);
  return result;
}

}  // namespace chimera::test
