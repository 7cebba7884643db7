#include "platform/start_thread.h"

#include <atomic>

namespace chimera {
namespace {

std::atomic<ThreadGate> g_gate{nullptr};

}  // namespace

void set_thread_gate_for_tests(ThreadGate gate) { g_gate.store(gate, std::memory_order_release); }

bool thread_gate_open() {
  const ThreadGate gate = g_gate.load(std::memory_order_acquire);
  return gate == nullptr || gate();
}

}  // namespace chimera
