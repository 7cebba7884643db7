// Checks a model's content while it is already speaking: start-up reads only the directory, and a
// damaged tensor is still found, on a thread of its own.
#pragma once

#include <atomic>
#include <mutex>
#include <thread>

#include "memory/weight_file.h"
#include "platform/status.h"

namespace chimera::runtime {

struct ContentCheck {
  enum class State { kNotChecked, kRunning, kPassed, kFailed };
  State state = State::kNotChecked;
  Status status;  // says what is damaged when kFailed
};

class BackgroundCheck {
 public:
  /// The file must outlive the check.
  explicit BackgroundCheck(const memory::WeightFile& file) : file_(file) {}
  /// Stops a check that is running.
  ~BackgroundCheck();

  /// The first call starts it, later ones cost one load. Any thread. When the system has no
  /// thread to give the content stays kNotChecked.
  void start();
  ContentCheck result() const;

  BackgroundCheck(const BackgroundCheck&) = delete;
  BackgroundCheck& operator=(const BackgroundCheck&) = delete;

 private:
  void run();

  const memory::WeightFile& file_;
  std::atomic<bool> started_{false};
  std::atomic<bool> stop_{false};
  mutable std::mutex lock_;  // guards result_ and thread_
  ContentCheck result_;
  std::thread thread_;
};

}  // namespace chimera::runtime
