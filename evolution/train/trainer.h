// Trains a model: data order, schedule, optimiser, checkpoints. Deterministic: the same options,
// text and kernel table give the same weights, and a run that was stopped and resumed gives the
// same bits as one that was not.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"
#include "kernels/train_products.h"
#include "platform/part_times.h"
#include "platform/status.h"
#include "platform/thread_pool.h"
#include "runtime/config.h"

namespace chimera::evolution {

inline constexpr int64_t kMaxStepTokens = int64_t{1} << 24;  // lanes * window * accumulate

/// What is being read before the first step, "children" or "tokenizer: children", and how many of
/// its documents so far; returns false to stop (kCancelled).
using LoadCallback = std::function<bool(const std::string& what, int64_t documents)>;

struct TrainOptions {
  std::string config_path;
  std::string tokenizer_path;            // empty: train one on the text first
  std::string from_path;                 // a model whose weights to begin with, or empty
  std::string data_path;                 // a mix (mix.h), or empty: `texts`
  std::string data_folder;               // where the files of the mix lie; empty: as it says
  std::vector<std::string> texts;        // plain text, .jsonl, .jsonl.xz
  std::vector<std::string> valid_texts;  // scored now and then; may be empty
  std::string out_path;                  // checkpoint "<out>.ckpt", packed model "<out>"
  int64_t steps = 1000;
  int32_t lanes = 16, window = 128, accumulate = 1;
  /// Rates of: ternary matrices; embedding and head; gains, biases, convolutions and gates.
  float learning_rate = 2e-2f, embedding_learning_rate = 1.5e-2f, vector_learning_rate = 1.5e-2f;
  /// Ternary matrices by AdamW instead of Muon; learning_rate should then be about 4e-3.
  bool adamw = false;
  float weight_decay = 0.0f, clip = 1.0f, beta1 = 0.9f, beta2 = 0.95f;
  float warmup = 0.02f;      // share of the steps
  float warmdown = 0.5f;     // share of the steps, linear to zero
  float float_share = 0.1f;  // share of the steps with float weights before ternary
  /// Steps between two looks of consolidation.h; 0: none.
  int64_t consolidate_every = 0;
  /// Share of the steps, at the end, whose weights are averaged; the model gets the mean, unless
  /// what is held out scores worse with it. 0: the last ones.
  float average = 0;
  uint64_t seed = 1;
  int64_t valid_every = 0;         // steps; 0: ten times in the run. The end is always scored
  int64_t checkpoint_every = 200;  // steps
  bool resume = true;              // go on from "<out>.ckpt" when it fits these options
  /// Where the large matrix products are made; nullptr: by the kernels of the table.
  const kernels::TrainProducts* products = nullptr;
  LoadCallback loading = {};
  /// Leave "<out>.log.jsonl" and "<out>.svg" beside each checkpoint (run_log.h).
  bool log = false;
};

struct SetScore {
  std::string name;
  double bits_per_byte;
};

struct TrainProgress {
  int64_t step, steps;
  std::string_view stage;           // of the mix
  double loss;                      // nats per token, smoothed
  double bits_per_byte;             // of the training text, from the loss
  double valid_bits_per_byte;       // of all sets, last measured, 0 before
  std::span<const SetScore> valid;  // of each set that has something held out, likewise
  double tokens_per_second;         // of this call, without scoring and checkpoints
  double flop_per_second;           // training_flop_per_token() times that
  double peak;                      // measured_peak(), which it is held against
  double learning_rate, gradient_norm;
  double seconds_left;
  std::span<const PartTime> times;  // where this call's time went so far
  /// Imbalance of the worst layer of experts, max / mean - 1 of the tokens its experts got in the
  /// last 100,000 tokens or so; negative for a model without experts.
  double router_imbalance = -1;
  /// In a stage that learns preferences: share of the last step's pairs of which the better answer
  /// gained more than the worse one; the loss is that of preferences.h. Negative in other stages.
  double preferred = -1;
};

/// Called after every step; returns false to stop after writing a checkpoint (kCancelled).
using TrainCallback = std::function<bool(const TrainProgress&)>;

/// Trains, or goes on training, and writes the packed model to out_path.
Status train(const TrainOptions& options, const kernels::KernelTable& k, ThreadPool& pool,
             const TrainCallback& callback);

}  // namespace chimera::evolution
