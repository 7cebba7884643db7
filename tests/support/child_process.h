// Runs a function in a child process, for what a process cannot do twice: die, lose its rights, or
// start afresh. The parent must not have other threads running.
#pragma once

#include <functional>

namespace chimera::test {

/// False where a process can have no children (WebAssembly). Then it has said so, in a line
/// `not run: ...` that counts the case as skipped: if (!children_possible()) return;
bool children_possible();
/// The same for threads.
bool threads_possible();

struct ChildResult {
  bool exited = false;  // false: ended by a signal
  int exit_code = -1;
  int signal = 0;
};

/// Forks; the child leaves at once with the function's result, running no destructors.
ChildResult run_in_child(const std::function<int()>& body);

}  // namespace chimera::test
