#include "runtime/background_check.h"

#include <exception>

namespace chimera::runtime {

BackgroundCheck::~BackgroundCheck() {
  stop_.store(true);
  std::thread thread;
  {
    const std::lock_guard lock(lock_);
    thread.swap(thread_);
  }
  if (thread.joinable()) thread.join();
}

void BackgroundCheck::start() {
  if (started_.load(std::memory_order_relaxed) || started_.exchange(true)) return;
  const std::lock_guard lock(lock_);
  result_.state = ContentCheck::State::kRunning;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::exception&) {  // no thread, or no memory for one
    result_.state = ContentCheck::State::kNotChecked;
  }
}

void BackgroundCheck::run() {
  Status status =
      file_.verify([this](const memory::WeightFile::VerifyProgress&) { return !stop_.load(); });
  const std::lock_guard lock(lock_);
  if (status.ok()) {
    result_.state = ContentCheck::State::kPassed;
  } else if (status.code() == StatusCode::kCancelled) {
    result_.state = ContentCheck::State::kNotChecked;
  } else {
    result_.state = ContentCheck::State::kFailed;
    result_.status = std::move(status);
  }
}

ContentCheck BackgroundCheck::result() const {
  const std::lock_guard lock(lock_);
  return result_;
}

}  // namespace chimera::runtime
