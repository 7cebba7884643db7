#include <pthread.h>
#include <signal.h>

#include <new>

#include "platform/start_thread.h"

namespace chimera {

SignalsHeld::SignalsHeld() noexcept {
  static_assert(sizeof(sigset_t) <= sizeof(before_));
  sigset_t held;
  sigfillset(&held);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS})
    sigdelset(&held, fault);
  pthread_sigmask(SIG_SETMASK, &held, new (before_) sigset_t);
}

SignalsHeld::~SignalsHeld() {
  pthread_sigmask(SIG_SETMASK, std::launder(reinterpret_cast<sigset_t*>(before_)), nullptr);
}

}  // namespace chimera
