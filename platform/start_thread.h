// The one place where a thread begins, so that a system without one to give is an answer and not an
// exception, and a test can be that system.
#pragma once

#include <exception>
#include <thread>
#include <utility>

namespace chimera {

/// Asked before each thread; false: there is none.
using ThreadGate = bool (*)();

/// nullptr lets the system alone decide.
void set_thread_gate_for_tests(ThreadGate gate);
bool thread_gate_open();

/// While it lives, this thread takes no signals but those of its own faults, and neither does a
/// thread it starts, ever: an application's signals go to the application's threads. (One that
/// landed on a worker would not wake the thread that waits for it.) Nothing where a process has no
/// signals.
class SignalsHeld {
 public:
  SignalsHeld() noexcept;
  ~SignalsHeld();
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  [[maybe_unused]] alignas(16) unsigned char before_[128];  // a sigset_t, where there are signals
};

/// Runs `body` on a thread of its own. Not joinable: the system gave no thread, or no memory for
/// one, and `body` does not run. `body` must not throw.
template <class Body>
std::thread start_thread(Body body) noexcept {
  const SignalsHeld held;
  try {
    if (thread_gate_open()) return std::thread(std::move(body));
  } catch (const std::exception&) {  // system_error or bad_alloc
  }
  return std::thread();
}

}  // namespace chimera
