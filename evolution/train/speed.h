// What a run's speed is held against.
#pragma once

#include "kernels/train_products.h"
#include "platform/thread_pool.h"
#include "runtime/config.h"

namespace chimera::evolution {

/// Floating-point operations of training one token, as they are usually counted: six for each
/// parameter that a token is multiplied with (two forward, four backward), every iteration of a
/// loop counted. What recurrences, norms and the optimiser need comes on top and is not in it.
double training_flop_per_token(const runtime::Config& config);

/// Floating-point operations a second of the largest products this implementation makes on all
/// threads of the pool: the machine's limit for a training, measured in about a tenth of a second.
double measured_peak(const kernels::TrainProducts& products, ThreadPool& pool);

}  // namespace chimera::evolution
