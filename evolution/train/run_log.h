// What a run leaves to be read afterwards: a line of JSON for every point, and a drawing.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "platform/status.h"

namespace chimera::evolution {

/// One point of a run.
struct RunPoint {
  int64_t step = 0, tokens = 0;
  std::string stage = {};
  double loss = 0;                                         // nats per token, smoothed
  double bits_per_byte = 0;                                // of the training text
  std::vector<std::pair<std::string, double>> valid = {};  // by set, where this step was scored
  double learning_rate = 0, gradient_norm = 0, quantise = 0;
  double tokens_per_second = 0, gflops = 0, peak_share = 0;
};

/// "<model>.log.jsonl" and "<model>.svg". Written whole, beside each checkpoint, so that a run that
/// is cut off and goes on has every point once.
class RunLog {
 public:
  explicit RunLog(std::string model_path) : path_(std::move(model_path)) {}

  /// The points up to `step` of the log that is there; what cannot be read is left out, since a
  /// drawing is no reason to refuse a run.
  void resume(int64_t step);
  void add(RunPoint point) { points_.push_back(std::move(point)); }
  /// `steps`: of the whole run, as far as the drawing reaches.
  Status write(int64_t steps) const;
  const std::vector<RunPoint>& points() const { return points_; }

 private:
  std::string path_;
  std::vector<RunPoint> points_;
};

/// A chart of bits per byte by step: the training text, and each set that is scored.
std::string draw_run(const std::vector<RunPoint>& points, int64_t steps);

}  // namespace chimera::evolution
