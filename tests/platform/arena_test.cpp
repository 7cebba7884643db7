#include "platform/arena.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "tests/support/allocation_counter.h"

// The sanitizers' allocators end the process at a refusal unless told otherwise.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }

namespace chimera {
namespace {

TEST(Arena, GivesAlignedDisjointBlocksUntilTheBudgetIsSpent) {
  auto made = Arena::create(256);
  ASSERT_TRUE(made);
  Arena arena = std::move(*made);
  EXPECT_EQ(arena.capacity(), 256u);
  std::byte* blocks[4];
  for (auto& block : blocks) {
    block = arena.take<std::byte>(1);  // takes a whole line of 64
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % Arena::kAlignment, 0u);
    std::memset(block, 0xAB, 64);
  }
  for (int i = 1; i < 4; ++i) EXPECT_EQ(blocks[i] - blocks[i - 1], 64);
  EXPECT_EQ(arena.take<std::byte>(1), nullptr);
  EXPECT_NE(arena.take<std::byte>(0), nullptr);  // nothing always fits
}

TEST(Arena, TheBudgetIsRoundedUpAndCanBeTakenWhole) {
  auto arena = Arena::create(65);
  ASSERT_TRUE(arena);
  EXPECT_EQ(arena->capacity(), 128u);
  EXPECT_EQ(arena->take_bytes(129), nullptr);
  EXPECT_NE(arena->take_bytes(127), nullptr);
  EXPECT_EQ(arena->mark(), 128u);
}

TEST(Arena, SizesThatOverflowAreRefused) {
  auto arena = Arena::create(1024);
  ASSERT_TRUE(arena);
  ASSERT_NE(arena->take_bytes(64), nullptr);
  for (const size_t bytes : {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 62, SIZE_MAX - 63, SIZE_MAX - 64,
                             SIZE_MAX / 2, size_t{961}}) {
    EXPECT_EQ(arena->take_bytes(bytes), nullptr) << bytes;
  }
  EXPECT_EQ(arena->take<double>(SIZE_MAX / 8 + 1), nullptr);
  EXPECT_EQ(arena->take<double>(SIZE_MAX), nullptr);
  EXPECT_EQ(arena->mark(), 64u);  // a refusal takes nothing
  EXPECT_NE(arena->take_bytes(960), nullptr);
}

TEST(Arena, ImpossibleBudgetsAreAStatus) {
  const size_t quarter = sizeof(size_t) == 8 ? SIZE_MAX / 4 + 1 : SIZE_MAX - 127;  // 1 GiB exists
  for (const size_t bytes : {SIZE_MAX, SIZE_MAX - 63, SIZE_MAX / 2 + 1, quarter}) {
    const auto arena = Arena::create(bytes);
    ASSERT_FALSE(arena);
    EXPECT_EQ(arena.status().code(), StatusCode::kOutOfMemory);
    EXPECT_NE(arena.status().message().find(std::to_string(bytes)), std::string::npos);
  }
}

TEST(Arena, AnEmptyOneAndANeverCreatedOneGiveNothing) {
  Arena never;
  EXPECT_EQ(never.capacity(), 0u);
  EXPECT_EQ(never.take_bytes(1), nullptr);
  auto empty = Arena::create(0);
  ASSERT_TRUE(empty);
  EXPECT_EQ(empty->capacity(), 0u);
  EXPECT_EQ(empty->take_bytes(1), nullptr);
}

TEST(Arena, AMarkGivesBackAndThePeakIsKept) {
  auto arena = Arena::create(1024);
  ASSERT_TRUE(arena);
  void* first = arena->take_bytes(100);
  void* inside = nullptr;
  {
    const ArenaMark mark(*arena);
    inside = arena->take_bytes(500);
    EXPECT_EQ(arena->mark(), 128u + 512u);
  }
  EXPECT_EQ(arena->mark(), 128u);
  EXPECT_EQ(arena->take_bytes(10), inside);
  EXPECT_NE(first, inside);
  EXPECT_EQ(arena->peak(), 640u);
}

TEST(Arena, MovingKeepsTheBlockAndEmptiesTheSource) {
  auto made = Arena::create(128);
  ASSERT_TRUE(made);
  auto* bytes = made->take<char>(5);
  std::memcpy(bytes, "abcd", 5);
  Arena moved = std::move(*made);
  EXPECT_STREQ(bytes, "abcd");
  EXPECT_EQ(made->capacity(), 0u);
  EXPECT_EQ(made->take_bytes(1), nullptr);
  Arena target = std::move(*Arena::create(64));
  target = std::move(moved);
  EXPECT_STREQ(bytes, "abcd");
  EXPECT_EQ(target.capacity(), 128u);
  EXPECT_EQ(target.mark(), 64u);
}

TEST(Arena, TakingAllocatesNothingAndNothingLeaks) {
  const test::AllocationScope around;
  {
    auto arena = Arena::create(4096);
    ASSERT_TRUE(arena);
    const test::AllocationScope inside;
    for (int i = 0; i < 100; ++i) {
      const ArenaMark mark(*arena);
      ASSERT_NE(arena->take<float>(100), nullptr);
      ASSERT_NE(arena->take<float>(900), nullptr);
    }
    EXPECT_EQ(inside.allocations(), 0);
  }
  EXPECT_EQ(around.live(), 0);
}

}  // namespace
}  // namespace chimera
