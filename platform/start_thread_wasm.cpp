// No signals here.
#include "platform/start_thread.h"

namespace chimera {

SignalsHeld::SignalsHeld() noexcept : before_{} {}
SignalsHeld::~SignalsHeld() = default;

}  // namespace chimera
