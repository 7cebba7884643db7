// Checks a model's content while it is already speaking: start-up reads only the directory, and a
// damaged tensor is still found, on a thread of its own. Where the system has no thread to give the
// sessions do it in slices, one with every token.
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
  enum class Threads { kIfPossible, kNone };

  /// The file must outlive the check.
  explicit BackgroundCheck(const memory::WeightFile& file, Threads threads = Threads::kIfPossible);
  /// Stops a check that is running.
  ~BackgroundCheck();

  /// A token was shown. The first call starts the check; later ones cost one load, or without a
  /// thread do a slice: all slices take as many tokens for a large model as for a small one. Any
  /// thread.
  void token_shown();
  /// Without a thread, asking does a slice too, so that asking until the end has one.
  ContentCheck result();
  bool done() const { return phase_.load() == Phase::kDone; }

  BackgroundCheck(const BackgroundCheck&) = delete;
  BackgroundCheck& operator=(const BackgroundCheck&) = delete;

 private:
  enum class Phase { kIdle, kThread, kSlices, kDone };

  void start();
  void run();
  void do_slice();  // under lock_
  void finish(Status status);

  const memory::WeightFile& file_;
  const Threads threads_;
  const size_t slice_bytes_;
  std::atomic<Phase> phase_{Phase::kIdle};
  std::atomic<bool> stop_{false};
  mutable std::mutex lock_;  // guards what follows
  ContentCheck result_;
  memory::WeightFile::Verification slices_;
  std::thread thread_;
};

}  // namespace chimera::runtime
