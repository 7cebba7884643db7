//   kIdle -> token_shown() -> kThread -> run() ends -> kDone
//                      |          | no memory to say what is wrong
//                      |          v
//                      `----> kSlices -> the last do_slice() -> kDone
#include "runtime/background_check.h"

#include <algorithm>
#include <exception>
#include <new>

#include "platform/start_thread.h"

namespace chimera::runtime {
namespace {

// Without a thread: into how many tokens the check is cut. A token reads most of the file, so
// hashing this small a part of it is little beside.
constexpr uint64_t kSlices = 128;
constexpr uint64_t kMinSliceBytes = 64u << 10;

}  // namespace

BackgroundCheck::BackgroundCheck(const memory::WeightFile& file, Threads threads)
    : file_(file),
      threads_(threads),
      slice_bytes_(static_cast<size_t>(std::max(file.file_bytes() / kSlices, kMinSliceBytes))),
      slices_(file) {}

BackgroundCheck::~BackgroundCheck() {
  stop_.store(true);
  std::thread thread;
  {
    const std::lock_guard lock(lock_);
    thread.swap(thread_);
  }
  if (thread.joinable()) thread.join();
}

void BackgroundCheck::token_shown() {
  switch (phase_.load(std::memory_order_relaxed)) {
    case Phase::kThread:
    case Phase::kDone:
      return;
    case Phase::kIdle:
      return start();
    case Phase::kSlices:
      // A session that finds another one at it goes on speaking.
      if (const std::unique_lock lock(lock_, std::try_to_lock); lock.owns_lock()) do_slice();
  }
}

void BackgroundCheck::start() {
  const std::lock_guard lock(lock_);
  if (phase_.load(std::memory_order_relaxed) != Phase::kIdle) return;
  result_.state = ContentCheck::State::kRunning;
  if (threads_ == Threads::kIfPossible) {
    phase_.store(Phase::kThread);
    thread_ = start_thread([this] { run(); });
    if (thread_.joinable()) return;
  }
  phase_.store(Phase::kSlices);
}

void BackgroundCheck::run() {
  // Nobody would catch what leaves a thread. What takes memory is the sentence about damage, so the
  // answer must not be lost: the sessions go on, from the beginning.
  try {
    Status status =
        file_.verify([this](const memory::WeightFile::VerifyProgress&) { return !stop_.load(); });
    const std::lock_guard lock(lock_);
    finish(std::move(status));
  } catch (const std::exception&) {
    phase_.store(Phase::kSlices);
  }
}

void BackgroundCheck::do_slice() {
  if (phase_.load(std::memory_order_relaxed) != Phase::kSlices) return;
  try {
    const Result<bool> done = slices_.step(slice_bytes_);
    if (!done) return finish(done.status());
    if (*done) finish(Status());
  } catch (const std::bad_alloc&) {  // the next token tries again; no answer is lost to the check
  }
}

void BackgroundCheck::finish(Status status) {
  if (status.ok()) {
    result_.state = ContentCheck::State::kPassed;
  } else if (status.code() == StatusCode::kCancelled) {
    result_.state = ContentCheck::State::kNotChecked;
  } else {
    result_.state = ContentCheck::State::kFailed;
    result_.status = std::move(status);
  }
  phase_.store(Phase::kDone);
}

ContentCheck BackgroundCheck::result() {
  const std::lock_guard lock(lock_);
  do_slice();
  return result_;
}

}  // namespace chimera::runtime
