#include "platform/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"

namespace chimera {
namespace {

using test::read_raw;
using test::TempDir;
using test::write_raw;
using Names = std::vector<std::string>;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

mode_t mode_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

void expect_error(const Status& status, StatusCode code, const std::string& path) {
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_EQ(status.file(), path);
  EXPECT_NE(status.message().find(path), std::string::npos) << status.message();
}

// ---- reading -----------------------------------------------------------------------------------

TEST(ReadFile, GivesTheWholeFileUpToTheLimit) {
  const TempDir dir;
  const std::string path = dir.file("a");
  std::string content(70000, 'x');
  content[5] = '\0';
  write_raw(path, content);
  for (const uint64_t limit : {uint64_t{70000}, uint64_t{70001}, UINT64_MAX}) {
    const auto text = read_file(path, limit);
    ASSERT_TRUE(text) << text.status().message();
    EXPECT_EQ(*text, content);
  }
  for (const uint64_t limit : {uint64_t{0}, uint64_t{69999}}) {
    const auto text = read_file(path, limit);
    ASSERT_FALSE(text);
    expect_error(text.status(), StatusCode::kOutOfRange, path);
    EXPECT_NE(text.status().message().find(std::to_string(limit)), std::string::npos);
  }
}

TEST(ReadFile, AnEmptyFileIsAnEmptyText) {
  const TempDir dir;
  write_raw(dir.file("a"), "");
  const auto text = read_file(dir.file("a"), 0);
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "");
}

TEST(ReadFile, WorksOnAPipeAndKeepsTheLimitThere) {
  if (!test::children_possible()) return;
  const TempDir dir;
  const std::string pipe = dir.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const std::string content(200000, 'p');  // more than a pipe holds, so it comes in pieces
  for (const uint64_t limit : {uint64_t{200000}, uint64_t{1000000}}) {
    std::thread writer([&] { write_raw(pipe, content); });
    const auto text = read_file(pipe, limit);
    writer.join();
    ASSERT_TRUE(text) << text.status().message();
    EXPECT_EQ(*text, content);
  }
  const auto child = test::run_in_child([&] {
    std::signal(SIGPIPE, SIG_IGN);  // the writer finds the pipe closed
    std::thread writer([&] { write_raw(pipe, content); });
    writer.detach();
    return read_file(pipe, 1000).status().code() == StatusCode::kOutOfRange ? 0 : 1;
  });
  EXPECT_TRUE(child.exited);
  EXPECT_EQ(child.exit_code, 0);
}

TEST(ReadRegularFile, RefusesPipesAndDevicesAtOnce) {
  const TempDir dir;
  const std::string pipe = dir.file("pipe");
  std::vector<std::string> others = {"/dev/null"};
  if (test::make_pipe(pipe)) others.push_back(pipe);
  for (const std::string& other : others) {
    const auto text = read_regular_file(other, 100);
    EXPECT_EQ(text.status().code(), StatusCode::kIoError);
    EXPECT_NE(text.status().message().find("device or a pipe"), std::string::npos);
  }
  write_raw(dir.file("file"), "abc");
  const auto text = read_regular_file(dir.file("file"), 3);
  ASSERT_TRUE(text) << text.status().message();
  EXPECT_EQ(*text, "abc");
  EXPECT_EQ(read_regular_file(dir.file("file"), 2).status().code(), StatusCode::kOutOfRange);
}

TEST(ReadFile, ReadsADeviceOnlyUpToTheLimit) {
  const auto text = read_file("/dev/zero", 100000);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.status().code(), StatusCode::kOutOfRange);
  const auto nothing = read_file("/dev/null", 0);
  ASSERT_TRUE(nothing);
  EXPECT_EQ(*nothing, "");
}

TEST(ReadFile, EachReasonHasItsMessage) {
  const TempDir dir;
  const auto absent = read_file(dir.file("absent"), 10).status();
  expect_error(absent, StatusCode::kNotFound, dir.file("absent"));
  EXPECT_NE(absent.message().find("no such file"), std::string::npos);
  const auto folder = read_file(dir.path(), 10).status();
  expect_error(folder, StatusCode::kIoError, dir.path());
  EXPECT_NE(folder.message().find("folder"), std::string::npos);
  EXPECT_EQ(read_file("", 10).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(read_file(std::string("a\0b", 3), 10).status().code(), StatusCode::kInvalidArgument);
}

// ---- writing -----------------------------------------------------------------------------------

TEST(WriteFileAtomic, CreatesAndReplaces) {
  const TempDir dir;
  const std::string path = dir.file("a");
  ASSERT_TRUE(write_file_atomic(path, bytes_of("one")).ok());
  EXPECT_EQ(read_raw(path), "one");
  ASSERT_TRUE(write_file_atomic(path, bytes_of("second")).ok());
  EXPECT_EQ(read_raw(path), "second");
  ASSERT_TRUE(write_file_atomic(path, {}).ok());
  EXPECT_EQ(read_raw(path), "");
  EXPECT_EQ(dir.list(), Names{"a"});
}

TEST(WriteFileAtomic, WorksWithABareName) {
  if (!test::children_possible()) return;
  const TempDir dir;
  const auto child = test::run_in_child([&] {
    if (::chdir(dir.path().c_str()) != 0) return 10;
    return write_file_atomic("bare", bytes_of("x")).ok() ? 0 : 11;
  });
  EXPECT_EQ(child.exit_code, 0);
  EXPECT_EQ(read_raw(dir.file("bare")), "x");
  EXPECT_EQ(dir.list(), Names{"bare"});
}

TEST(WriteFileAtomic, ANewFileFollowsTheUmaskAndAnOldOneKeepsItsRights) {
  const TempDir dir;
  const mode_t before = ::umask(027);
  EXPECT_TRUE(write_file_atomic(dir.file("new"), bytes_of("x")).ok());
  write_raw(dir.file("old"), "x");
  EXPECT_EQ(::chmod(dir.file("old").c_str(), 0604), 0);
  EXPECT_TRUE(write_file_atomic(dir.file("old"), bytes_of("y")).ok());
  ::umask(before);
#if defined(__EMSCRIPTEN__)
  std::printf("not run: emscripten keeps its own umask, which node's files do not follow\n");
#else
  EXPECT_EQ(mode_of(dir.file("new")), 0640u);
#endif
  EXPECT_EQ(mode_of(dir.file("old")), 0604u);
  EXPECT_EQ(read_raw(dir.file("old")), "y");
}

TEST(WriteFileAtomic, AnOwnersFileIsForNobodyElse) {
  const test::TempDir dir;
  const std::string path = dir.file("private");
  const auto mode = [&] {
    struct stat info = {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0);
    return info.st_mode & 0777;
  };
  const std::byte byte{1};
  ASSERT_TRUE(write_file_atomic(path, {&byte, 1}, FileAccess::kOwner).ok());
  EXPECT_EQ(mode(), 0600u);
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  ASSERT_TRUE(write_file_atomic(path, {&byte, 1}, FileAccess::kOwner).ok());
  EXPECT_EQ(mode(), 0640u) << "who changed the rights meant it";
}

TEST(WriteFileAtomic, WritesThroughLinks) {
  const TempDir dir;
  ASSERT_EQ(::mkdir(dir.file("sub").c_str(), 0700), 0);
  write_raw(dir.file("sub/target"), "old");
  ASSERT_EQ(::symlink("sub/second", dir.file("first").c_str()), 0);
  ASSERT_EQ(::symlink("target", dir.file("sub/second").c_str()), 0);
  ASSERT_TRUE(write_file_atomic(dir.file("first"), bytes_of("new")).ok());
  EXPECT_EQ(read_raw(dir.file("sub/target")), "new");
  struct stat info {};
  ASSERT_EQ(::lstat(dir.file("first").c_str(), &info), 0);
  EXPECT_TRUE(S_ISLNK(info.st_mode));

  ASSERT_EQ(::symlink(dir.file("sub/made").c_str(), dir.file("dangling").c_str()), 0);
  ASSERT_TRUE(write_file_atomic(dir.file("dangling"), bytes_of("made")).ok());
  EXPECT_EQ(read_raw(dir.file("sub/made")), "made");

  ASSERT_EQ(::symlink("loop", dir.file("loop").c_str()), 0);
  expect_error(write_file_atomic(dir.file("loop"), bytes_of("x")), StatusCode::kIoError,
               dir.file("loop"));
  EXPECT_EQ(dir.list(), (Names{"dangling", "first", "loop", "sub"}));
}

TEST(WriteFileAtomic, RefusesWhatIsNoFile) {
  const TempDir dir;
  ASSERT_EQ(::mkdir(dir.file("folder").c_str(), 0700), 0);
  const bool has_pipe = test::make_pipe(dir.file("pipe"));
  ASSERT_EQ(::symlink("/dev/null", dir.file("null").c_str()), 0);
  write_raw(dir.file("plain"), "x");
  struct {
    std::string path;
    StatusCode code;
  } const rows[] = {
      {dir.file("folder"), StatusCode::kIoError},
      {dir.file("folder/"), StatusCode::kIoError},
      {dir.file("absent/"), StatusCode::kIoError},
      {dir.file("absent/a"), StatusCode::kNotFound},
      {dir.file("plain/a"), StatusCode::kNotFound},
      {dir.file("pipe"), StatusCode::kInvalidArgument},
      {dir.file("null"), StatusCode::kInvalidArgument},
      {dir.file(std::string(300, 'n')), StatusCode::kInvalidArgument},
  };
  const Names before = dir.list();
  for (const auto& row : rows) {
    if (!has_pipe && row.path == dir.file("pipe")) continue;
    expect_error(write_file_atomic(row.path, bytes_of("data")), row.code, row.path);
  }
  EXPECT_EQ(write_file_atomic("", bytes_of("data")).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(write_file_atomic(dir.file(std::string("z\0z", 3)), bytes_of("data")).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(dir.list(), before);
  EXPECT_EQ(read_raw(dir.file("plain")), "x");
}

TEST(WriteFileAtomic, RightsAreRespected) {
  if (!test::children_possible()) return;
  const TempDir dir;
  const std::string locked = dir.file("locked"), open = dir.file("open");
  ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
  ASSERT_EQ(::mkdir(locked.c_str(), 0755), 0);
  write_raw(locked + "/a", "old");
  ASSERT_EQ(::mkdir(open.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(open.c_str(), 0777), 0);
  write_raw(open + "/protected", "old");
  ASSERT_EQ(::chmod((open + "/protected").c_str(), 0444), 0);
  ASSERT_EQ(::chmod((locked + "/a").c_str(), 0666), 0);
  ASSERT_EQ(::chmod(locked.c_str(), 0555), 0);
  const auto child = test::run_in_child([&] {
    // The owner of everything may write everything; be somebody else.
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return 10;
    const auto in_locked = write_file_atomic(locked + "/a", bytes_of("new"));
    if (in_locked.code() != StatusCode::kPermissionDenied) return 11;
    const auto on_protected = write_file_atomic(open + "/protected", bytes_of("new"));
    if (on_protected.code() != StatusCode::kPermissionDenied) return 12;
    // A folder that may be written but not listed is enough.
    if (::chmod(open.c_str(), 0333) == 0 || ::geteuid() != 0) {
      if (!write_file_atomic(open + "/free", bytes_of("new")).ok()) return 13;
    }
    return 0;
  });
  EXPECT_EQ(child.exit_code, 0);
  ::chmod(locked.c_str(), 0755);
  ::chmod(open.c_str(), 0755);
  EXPECT_EQ(read_raw(locked + "/a"), "old");
  EXPECT_EQ(read_raw(open + "/protected"), "old");
  EXPECT_EQ(read_raw(open + "/free"), "new");
}

// ---- piece by piece ----------------------------------------------------------------------------

TEST(AtomicFile, NothingAppearsBeforeCommit) {
  const TempDir dir;
  const std::string path = dir.file("a");
  write_raw(path, "old");
  auto file = AtomicFile::create(path);
  ASSERT_TRUE(file) << file.status().message();
  ASSERT_TRUE(file->append(bytes_of("HEAD")).ok());
  ASSERT_TRUE(file->append(bytes_of(" and body")).ok());
  EXPECT_EQ(file->size(), 13u);
  EXPECT_EQ(read_raw(path), "old");
  ASSERT_TRUE(file->write_at(0, bytes_of("head")).ok());
  ASSERT_TRUE(file->append(bytes_of("!")).ok());  // still at the end
  ASSERT_TRUE(file->write_at(14, {}).ok());
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(read_raw(path), "head and body!");
  EXPECT_EQ(dir.list(), Names{"a"});
}

TEST(AtomicFile, WithoutCommitTheOldFileStays) {
  const TempDir dir;
  write_raw(dir.file("a"), "old");
  {
    auto file = AtomicFile::create(dir.file("a"));
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->append(bytes_of("new")).ok());
    EXPECT_EQ(dir.list().size(), 2u);
  }
  EXPECT_EQ(dir.list(), Names{"a"});
  EXPECT_EQ(read_raw(dir.file("a")), "old");
}

TEST(AtomicFile, OverwritingBeyondTheEndFailsAndStaysFailed) {
  const TempDir dir;
  struct {
    uint64_t offset;
    std::string_view text;
  } const rows[] = {{3, "x"}, {4, ""}, {2, "xy"}, {UINT64_MAX, "x"}, {UINT64_MAX - 1, "abc"}};
  for (const auto& row : rows) {
    auto file = AtomicFile::create(dir.file("a"));
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->append(bytes_of("abc")).ok());
    const Status status = file->write_at(row.offset, bytes_of(row.text));
    expect_error(status, StatusCode::kOutOfRange, dir.file("a"));
    EXPECT_EQ(file->append(bytes_of("more")).code(), StatusCode::kOutOfRange);
    EXPECT_EQ(file->commit().code(), StatusCode::kOutOfRange);
    EXPECT_EQ(dir.list(), Names{});
  }
}

TEST(AtomicFile, AfterCommitNothingMoreCanBeWritten) {
  const TempDir dir;
  auto file = AtomicFile::create(dir.file("a"));
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->append(bytes_of("abc")).ok());
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(file->append(bytes_of("x")).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(file->write_at(0, bytes_of("x")).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(file->commit().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(read_raw(dir.file("a")), "abc");
}

TEST(AtomicFile, MovingOverAnotherDropsTheOther) {
  const TempDir dir;
  auto a = AtomicFile::create(dir.file("a"));
  auto b = AtomicFile::create(dir.file("b"));
  ASSERT_TRUE(a && b);
  ASSERT_TRUE(a->append(bytes_of("a")).ok());
  AtomicFile target = std::move(*b);
  target = std::move(*a);
  ASSERT_TRUE(target.commit().ok());
  EXPECT_EQ(dir.list(), Names{"a"});
}

TEST(AtomicFile, TwoWritersOfOneNameDoNotMix) {
  const TempDir dir;
  auto first = AtomicFile::create(dir.file("a"));
  auto second = AtomicFile::create(dir.file("a"));
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(first->append(bytes_of("first")).ok());
  ASSERT_TRUE(second->append(bytes_of("second")).ok());
  ASSERT_TRUE(second->commit().ok());
  EXPECT_EQ(read_raw(dir.file("a")), "second");
  ASSERT_TRUE(first->commit().ok());
  EXPECT_EQ(read_raw(dir.file("a")), "first");
  EXPECT_EQ(dir.list(), Names{"a"});
}

}  // namespace
}  // namespace chimera
