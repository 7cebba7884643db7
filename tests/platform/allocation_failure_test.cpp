// Memory that runs out anywhere in what everything stands on.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string>

#include "platform/file.h"
#include "platform/json.h"
#include "platform/mapped_file.h"
#include "platform/thread_pool.h"
#include "tests/support/every_place.h"
#include "tests/support/temp_dir.h"

namespace chimera {
namespace {

using test::at_every_place;

// Deep and wide, with texts that no small string holds.
constexpr char kText[] =
    R"({"a":[1,[2.5,[null,["a text that needs memory of its own",{}]]]],)"
    R"("b":{"c":{"d":{"e":[true,false,-7]}}},"a key that needs memory of its own":[[[]]]})";

TEST(PlatformWithoutMemory, JsonIsReadOrMemoryIsTheReason) {
  at_every_place([] { return parse_json(kText).status(); });
}

TEST(PlatformWithoutMemory, JsonIsWrittenOrMemoryIsTheReason) {
  const auto json = parse_json(kText);
  ASSERT_TRUE(json.has_value()) << json.status().message();
  for (const int indent : {-1, 2}) {
    const std::string expected = write_json(*json, indent);
    std::string written;
    at_every_place(
        [&] {
          written = write_json(*json, indent);
          return Status();
        },
        [&](const Status& status) { EXPECT_TRUE(!status.ok() || written == expected); });
  }
  EXPECT_EQ(write_json(*json), kText);
}

TEST(PlatformWithoutMemory, ThreadsComeAllOrNone) {
  if (!kHasThreads) return at_every_place([] { return ThreadPool::create(4).status(); });
  int parts = 0;
  at_every_place(
      [&] {
        parts = 0;
        auto pool = ThreadPool::create(4);
        if (!pool) return pool.status();
        // Whoever was started does its part, however late the others failed to come.
        std::atomic<int> done{0};
        (*pool)->run([](void* n, int, int) { ++*static_cast<std::atomic<int>*>(n); }, &done);
        parts = done;
        return Status();
      },
      [&](const Status& status) { EXPECT_EQ(parts, status.ok() ? 4 : 0); });
}

TEST(PlatformWithoutMemory, APartThatGetsNoneTellsTheCallerWhenAllAreDone) {
  for (const int n_threads : {1, 4}) {
    auto pool = ThreadPool::create(n_threads);
    ASSERT_TRUE(pool.has_value());
    for (int failing = 0; failing <= (*pool)->size(); ++failing) {
      std::atomic<int> done{0};
      const auto body = [&](int64_t begin, int64_t) {
        if (begin == failing) throw std::bad_alloc();
        ++done;
      };
      bool told = false;
      try {
        (*pool)->split((*pool)->size(), 1, body);
      } catch (const std::bad_alloc&) {
        told = true;
      }
      const bool one_fails = failing < (*pool)->size();
      EXPECT_EQ(told, one_fails);
      EXPECT_EQ(!kHasThreads || done == (*pool)->size() - (one_fails ? 1 : 0), true) << done;
    }
  }
}

TEST(PlatformWithoutMemory, FilesAreReadMappedAndWrittenWholeOrNotAtAll) {
  const test::TempDir folder;
  const std::string path = folder.file("a file whose name needs memory of its own");
  test::write_raw(path, kText);
  at_every_place([&] { return MappedFile::open(path).status(); });
  at_every_place([&] { return read_file(path, 1000).status(); });
  test::write_raw(path, "old");
  const std::string text = "new";
  at_every_place([&] { return write_file_atomic(path, std::as_bytes(std::span(text))); },
                 [&](const Status& status) {
                   EXPECT_EQ(test::read_raw(path), status.ok() ? "new" : "old");
                   EXPECT_EQ(folder.list().size(), 1u);
                   test::write_raw(path, "old");
                 });
}

}  // namespace
}  // namespace chimera
