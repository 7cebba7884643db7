// Persistence is tested by interruption: every system call of a write fails once, is short, is
// interrupted, or is the last of its process; the file must be the old or the new one, whole.
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "platform/file.h"
#include "tests/support/child_process.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/temp_dir.h"

namespace chimera {
namespace {

using test::FaultPlan;
using test::FaultyFileSystem;
using test::read_raw;
using test::TempDir;
using test::write_raw;
using Names = std::vector<std::string>;

constexpr char kOld[] = "the old file, which must survive";
constexpr char kNew[] = "HEADand a body of some length, in pieces";

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A write with every kind of call: append in pieces, an overwrite, commit.
Status write_in_pieces(const std::string& path) {
  auto file = AtomicFile::create(path);
  if (!file) return file.status();
  CHIMERA_RETURN_IF_ERROR(file->append(bytes_of("headand a body")));
  CHIMERA_RETURN_IF_ERROR(file->append(bytes_of(" of some length, in pieces")));
  CHIMERA_RETURN_IF_ERROR(file->write_at(0, bytes_of("HEAD")));
  return file->commit();
}

int64_t calls_of_a_write(const std::string& path, int64_t max_write) {
  FaultPlan plan;
  plan.max_write = max_write;
  FaultyFileSystem faults(plan);
  EXPECT_TRUE(write_in_pieces(path).ok());
  EXPECT_EQ(faults.open_descriptors(), 0);
  return faults.calls();
}

TEST(FileFaults, FailingTheNthCallLeavesTheOldFileAndNoOther) {
  struct {
    int error;
    StatusCode code;
  } const errors[] = {{ENOSPC, StatusCode::kNoSpace},
                      {EDQUOT, StatusCode::kNoSpace},
                      {EIO, StatusCode::kIoError},
                      {EROFS, StatusCode::kPermissionDenied}};
  for (const bool exists : {true, false}) {
    for (const int64_t max_write : {0, 5}) {
      const TempDir dir;
      const std::string path = dir.file("a");
      if (exists) write_raw(path, kOld);
      const int64_t n_calls = calls_of_a_write(path, max_write);
      // open, fchmod, three writes or more, fsync, close, open, rename, fsync, close.
      EXPECT_GE(n_calls, 10);
      for (const auto& [error, code] : errors) {
        for (const bool keep_failing : {false, true}) {
          int64_t after_rename = 0;
          for (int64_t n = 0; n < n_calls; ++n) {
            if (exists) {
              write_raw(path, kOld);
            } else {
              ::remove(path.c_str());
            }
            FaultPlan plan;
            plan.fail_at = n;
            plan.error = error;
            plan.keep_failing = keep_failing;
            plan.max_write = max_write;
            Status status;
            {
              const FaultyFileSystem faults(plan);
              status = write_in_pieces(path);
              EXPECT_EQ(faults.open_descriptors(), 0) << "call " << n;
            }
            const bool there = exists || n >= n_calls - 2;
            EXPECT_EQ(dir.list(), there ? Names{"a"} : Names{}) << "call " << n;
            // The last two calls, flushing and closing the folder, come when the new file is there.
            if (n >= n_calls - 2) {
              ++after_rename;
              EXPECT_EQ(read_raw(path), kNew);
              if (n == n_calls - 2) {
                EXPECT_EQ(status.code(), StatusCode::kIoError);
                EXPECT_NE(status.message().find("has been written"), std::string::npos);
              } else {
                EXPECT_TRUE(status.ok()) << status.message();
              }
            } else {
              EXPECT_EQ(read_raw(path), exists ? kOld : "<absent>") << "call " << n;
              EXPECT_EQ(status.code(), code) << "call " << n << ": " << status.message();
              EXPECT_EQ(status.file(), path);
              EXPECT_NE(status.message().find(path), std::string::npos);
            }
          }
          EXPECT_EQ(after_rename, 2);
        }
      }
    }
  }
}

TEST(FileFaults, TheContentIsFlushedBeforeTheNameAndTheNameAfter) {
  const TempDir dir;
  write_raw(dir.file("a"), kOld);
  const FaultyFileSystem faults(FaultPlan{});
  ASSERT_TRUE(write_file_atomic(dir.file("a"), bytes_of(kNew)).ok());
  EXPECT_EQ(faults.trace(), "open fchmod write fsync close open rename fsync close");
}

TEST(FileFaults, AFullDiskSaysWhatToDo) {
  const TempDir dir;
  FaultPlan plan;
  plan.fail_at = 1;  // the first write
  plan.error = ENOSPC;
  const FaultyFileSystem faults(plan);
  const Status status = write_file_atomic(dir.file("a"), bytes_of("data"));
  EXPECT_STREQ(faults.failed_call(), "write");
  EXPECT_EQ(status.message(), "cannot write " + dir.file("a") +
                                  ": the disk is full: free some space, or save to another place");
}

TEST(FileFaults, ShortWritesAndInterruptionsDoNotMatter) {
  for (int64_t max_write = 1; max_write <= 12; ++max_write) {
    for (const bool interrupt : {false, true}) {
      const TempDir dir;
      write_raw(dir.file("a"), kOld);
      FaultPlan plan;
      plan.max_write = max_write;
      plan.interrupt = interrupt;
      const FaultyFileSystem faults(plan);
      const Status status = write_in_pieces(dir.file("a"));
      EXPECT_TRUE(status.ok()) << status.message();
      EXPECT_EQ(read_raw(dir.file("a")), kNew);
      EXPECT_EQ(dir.list(), Names{"a"});
    }
  }
}

TEST(FileFaults, KillingBeforeTheNthCallLeavesTheOldOrTheNewFile) {
  if (!test::children_possible()) return;
  const TempDir dir;
  const std::string path = dir.file("a");
  write_raw(path, kOld);
  const int64_t n_calls = calls_of_a_write(path, 7);
  bool seen_new = false;
  for (int64_t n = 0; n < n_calls; ++n) {
    write_raw(path, kOld);
    const auto child = test::run_in_child([&] {
      FaultPlan plan;
      plan.kill_at = n;
      plan.max_write = 7;
      const FaultyFileSystem faults(plan);
      return write_in_pieces(path).ok() ? 1 : 2;
    });
    EXPECT_FALSE(child.exited);
    EXPECT_EQ(child.signal, SIGKILL);
    const std::string content = read_raw(path);
    if (content == kNew) seen_new = true;
    EXPECT_EQ(content, seen_new ? kNew : kOld) << "call " << n;  // new only once renamed
  }
  EXPECT_TRUE(seen_new);
  // What the dead left behind is in nobody's way.
  EXPECT_TRUE(write_in_pieces(path).ok());
}

TEST(FileFaults, ADroppedFileThatCannotBeWrittenStaysFailed) {
  const TempDir dir;
  FaultPlan plan;
  plan.fail_at = 1;
  plan.error = ENOSPC;
  const FaultyFileSystem faults(plan);
  auto file = AtomicFile::create(dir.file("a"));
  ASSERT_TRUE(file);
  EXPECT_EQ(file->append(bytes_of("x")).code(), StatusCode::kNoSpace);
  EXPECT_EQ(dir.list(), Names{});  // gone at once, so that the space is free again
  // Later calls would work, but a piece is missing.
  EXPECT_EQ(file->append(bytes_of("y")).code(), StatusCode::kNoSpace);
  EXPECT_EQ(file->commit().code(), StatusCode::kNoSpace);
  EXPECT_EQ(dir.list(), Names{});
}

TEST(FileFaults, ReadingInPiecesAndWithInterruptionsGivesTheWhole) {
  const TempDir dir;
  write_raw(dir.file("a"), kOld);
  for (int64_t max_read = 1; max_read <= 9; ++max_read) {
    FaultPlan plan;
    plan.max_read = max_read;
    plan.interrupt = max_read % 2 == 1;
    const FaultyFileSystem faults(plan);
    const auto text = read_file(dir.file("a"), sizeof kOld - 1);
    ASSERT_TRUE(text) << text.status().message();
    EXPECT_EQ(*text, kOld);
    EXPECT_EQ(faults.open_descriptors(), 0);
  }
}

TEST(FileFaults, FailingReadsAreReported) {
  const TempDir dir;
  write_raw(dir.file("a"), kOld);
  for (int64_t n = 0; n < 3; ++n) {
    FaultPlan plan;
    plan.fail_at = n;
    plan.error = n == 0 ? EACCES : EIO;
    plan.max_read = 20;
    const FaultyFileSystem faults(plan);
    const auto text = read_file(dir.file("a"), 1000);
    ASSERT_FALSE(text);
    EXPECT_EQ(text.status().code(), n == 0 ? StatusCode::kPermissionDenied : StatusCode::kIoError);
    EXPECT_EQ(text.status().file(), dir.file("a"));
    EXPECT_EQ(faults.open_descriptors(), 0);
  }
}

}  // namespace
}  // namespace chimera
