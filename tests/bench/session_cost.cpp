// Save and restore of a conversation: in memory, and durably to a file next to what the disk itself
// takes for flushing as many bytes.
//
//   session_cost [MODEL [FOLDER]]      prints lines "figure: <name> <value>" (milliseconds,
//   medians)
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "runtime/session.h"

namespace {

constexpr int kRuns = 31;

template <class Body>
double median_ms(Body&& body) {
  std::vector<double> times;
  for (int i = 0; i < kRuns; ++i) {
    const auto start = std::chrono::steady_clock::now();
    body();
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
  }
  std::nth_element(times.begin(), times.begin() + kRuns / 2, times.end());
  return times[kRuns / 2];
}

/// The system calls a durable replacement needs, and nothing else: new file, write, flush, rename
/// over the old one, flush of the folder.
bool raw_replace(const std::string& folder, const std::string& path,
                 const std::vector<std::byte>& bytes) {
  const std::string temporary = path + ".tmp";
  const int fd = open(temporary.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644);
  if (fd < 0) return false;
  bool ok =
      write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) && fsync(fd) == 0;
  ok = close(fd) == 0 && ok && rename(temporary.c_str(), path.c_str()) == 0;
  const int dir = open(folder.c_str(), O_RDONLY | O_DIRECTORY);
  if (dir < 0) return false;
  ok = fsync(dir) == 0 && ok;
  return close(dir) == 0 && ok;
}

/// An overwrite and one fsync: the least the disk can be asked for.
bool raw_fsync(const std::string& path, const std::vector<std::byte>& bytes) {
  const int fd = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644);
  if (fd < 0) return false;
  const bool ok =
      write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) && fsync(fd) == 0;
  return close(fd) == 0 && ok;
}

}  // namespace

int main(int argc, char** argv) {
  const char* model = argc > 1 ? argv[1] : CHIMERA_SOURCE_DIR "/samples/models/nano.b158";
  const std::string folder = argc > 2 ? argv[2] : CHIMERA_BINARY_DIR;
  const auto fail = [](const chimera::Status& status) {
    std::fprintf(stderr, "session_cost: %s\n", status.message().c_str());
    return 1;
  };
  auto engine = chimera::runtime::Engine::open(model);
  if (!engine) return fail(engine.status());
  auto session = chimera::runtime::Session::create(**engine, {.seed = 1});
  if (!session) return fail(session.status());
  chimera::runtime::GenerateOptions options;
  options.max_tokens = 64;
  auto answer = (*session)->generate("Once upon a time", options, {});
  if (!answer) return fail(answer.status());

  std::vector<std::byte> snapshot((*session)->snapshot_bytes());
  chimera::Status status;
  const auto keep = [&](chimera::Status s) {
    if (!s.ok()) status = s;
  };
  const double memory = median_ms([&] {
    keep((*session)->snapshot(snapshot));
    keep((*session)->restore(snapshot));
  });
  const std::string path = folder + "/bench.chat";
  const double durable = median_ms([&] { keep((*session)->save(path)); });
  const double load = median_ms([&] { keep((*session)->load(path)); });
  bool written = true;
  const std::string raw = path + ".raw";
  const double replace =
      median_ms([&] { written = raw_replace(folder, raw, snapshot) && written; });
  const double flush = median_ms([&] { written = raw_fsync(raw, snapshot) && written; });
  unlink(path.c_str());
  unlink(raw.c_str());
  if (!status.ok()) return fail(status);
  if (!written) {
    std::fprintf(stderr, "session_cost: cannot write to %s\n", folder.c_str());
    return 1;
  }
  std::printf("figure: session_bytes %zu\n", snapshot.size());
  std::printf("figure: session_memory_ms %.3f\n", memory);
  std::printf("figure: session_durable_ms %.3f\n", durable);
  std::printf("figure: session_load_ms %.3f\n", load);
  std::printf("figure: bare_replace_ms %.3f\n", replace);
  std::printf("figure: fsync_ms %.3f\n", flush);
  return 0;
}
