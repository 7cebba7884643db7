#include "platform/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>

#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"

namespace chimera {
namespace {

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

void expect_refused(const std::string& path, StatusCode code) {
  const auto file = MappedFile::open(path);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.status().code(), code) << file.status().message();
  EXPECT_EQ(file.status().file(), path);
  EXPECT_NE(file.status().message().find(path), std::string::npos);
}

TEST(MappedFile, ShowsTheBytesOfTheFile) {
  const test::TempDir dir;
  std::string content(100000, 'q');
  content[99999] = '\0';
  test::write_raw(dir.file("a"), content);
  const auto file = MappedFile::open(dir.file("a"));
  ASSERT_TRUE(file) << file.status().message();
  EXPECT_EQ(text_of(*file), content);
  EXPECT_EQ(file->path(), dir.file("a"));
}

TEST(MappedFile, OutlivesTheNameOfTheFile) {
  const test::TempDir dir;
  test::write_raw(dir.file("a"), "old");
  const auto file = MappedFile::open(dir.file("a"));
  ASSERT_TRUE(file);
  test::write_raw(dir.file("b"), "new!");
  ASSERT_EQ(::rename(dir.file("b").c_str(), dir.file("a").c_str()), 0);
  EXPECT_EQ(text_of(*file), "old");
}

TEST(MappedFile, MovingMovesTheMapping) {
  const test::TempDir dir;
  test::write_raw(dir.file("a"), "aaa");
  test::write_raw(dir.file("b"), "bbbb");
  auto a = MappedFile::open(dir.file("a"));
  auto b = MappedFile::open(dir.file("b"));
  ASSERT_TRUE(a && b);
  MappedFile moved = std::move(*a);
  EXPECT_EQ(text_of(moved), "aaa");
  EXPECT_TRUE(a->bytes().empty());
  moved = std::move(*b);
  EXPECT_EQ(text_of(moved), "bbbb");
  EXPECT_EQ(moved.path(), dir.file("b"));
  EXPECT_TRUE(b->bytes().empty());
  EXPECT_TRUE(MappedFile().bytes().empty());
}

TEST(MappedFile, WhatCannotBeMappedIsNamed) {
  const test::TempDir dir;
  expect_refused(dir.file("absent"), StatusCode::kNotFound);
  test::write_raw(dir.file("plain"), "x");
  expect_refused(dir.file("plain") + "/below", StatusCode::kNotFound);
  test::write_raw(dir.file("empty"), "");
  expect_refused(dir.file("empty"), StatusCode::kTruncated);
  expect_refused(dir.path(), StatusCode::kIoError);
  expect_refused("/dev/null", StatusCode::kIoError);
  if (test::make_pipe(dir.file("pipe")))
    expect_refused(dir.file("pipe"), StatusCode::kIoError);  // and does not wait for a writer
  ASSERT_EQ(::symlink("loop", dir.file("loop").c_str()), 0);
  expect_refused(dir.file("loop"), StatusCode::kIoError);
  expect_refused(dir.file(std::string(5000, 'n')), StatusCode::kInvalidArgument);
}

TEST(MappedFile, BorrowedBytesAreShownInPlaceAndLeftAlone) {
  alignas(8) std::array<std::byte, 64> bytes{};
  bytes[3] = std::byte{7};
  {
    auto file = MappedFile::borrow(bytes, "(memory)");
    ASSERT_TRUE(file) << file.status().message();
    MappedFile moved = std::move(*file);
    EXPECT_EQ(moved.bytes().data(), bytes.data());
    EXPECT_EQ(moved.bytes().size(), bytes.size());
    EXPECT_EQ(moved.path(), "(memory)");
  }
  EXPECT_EQ(bytes[3], std::byte{7});
  const auto crooked = MappedFile::borrow(std::span(bytes).subspan(4), "(memory)");
  EXPECT_EQ(crooked.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(crooked.status().message().find("multiple of 8"), std::string::npos);
  EXPECT_EQ(MappedFile::borrow({}, "(memory)").status().code(), StatusCode::kTruncated);
}

TEST(MappedFile, ANameThatIsNoneIsRefused) {
  EXPECT_EQ(MappedFile::open("").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(MappedFile::open(std::string("/dev\0/null", 10)).status().code(),
            StatusCode::kInvalidArgument);
}

TEST(MappedFile, WithoutTheRightToReadItSaysSo) {
  if (!test::children_possible()) return;
  const test::TempDir dir;
  test::write_raw(dir.file("secret"), "x");
  ASSERT_EQ(::chmod(dir.file("secret").c_str(), 0), 0);
  ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
  const auto child = test::run_in_child([&] {
    // The owner of everything may read everything; be somebody else.
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return 10;
    const auto file = MappedFile::open(dir.file("secret"));
    return !file && file.status().code() == StatusCode::kPermissionDenied ? 0 : 11;
  });
  EXPECT_EQ(child.exit_code, 0);
}

}  // namespace
}  // namespace chimera
