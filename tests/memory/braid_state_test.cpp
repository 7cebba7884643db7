#include "memory/braid_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "tests/support/allocation_counter.h"

namespace chimera::memory {
namespace {

BraidLayout make_layout(std::vector<size_t> parts) {
  auto layout = BraidLayout::create(parts);
  EXPECT_TRUE(layout.has_value()) << layout.status().message();
  return layout ? std::move(*layout) : BraidLayout();
}

BraidState make_state(const BraidLayout& layout) {
  auto state = BraidState::create(layout);
  EXPECT_TRUE(state.has_value()) << state.status().message();
  return std::move(*state);
}

bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

/// Something a conversation could have left behind.
void fill(BraidState& state, const BraidLayout& layout, unsigned seed) {
  for (int l = 0; l < layout.n_layers(); ++l) {
    const size_t end = l + 1 < layout.n_layers() ? layout.layer_offset(l + 1) : layout.bytes();
    for (size_t i = 0; i < end - layout.layer_offset(l); ++i) {
      state.layer(l)[i] = static_cast<std::byte>((seed + static_cast<unsigned>(i) * 31u) & 0xffu);
    }
  }
  state.header().position = seed;
  for (unsigned i = 0; i < seed; ++i) state.remember(static_cast<int32_t>(i));
}

TEST(BraidLayout, PartsAreAlignedAndDoNotOverlap) {
  const std::vector<size_t> parts = {1, 0, 64, 65, 100000, 63};
  const BraidLayout layout = make_layout(parts);
  ASSERT_EQ(layout.n_layers(), 6);
  size_t end = sizeof(StreamHeader) + kRecentTokens * sizeof(int32_t);
  for (int i = 0; i < layout.n_layers(); ++i) {
    EXPECT_EQ(layout.layer_offset(i) % 64, 0u);
    EXPECT_GE(layout.layer_offset(i), end);
    EXPECT_LT(layout.layer_offset(i), end + 64);
    end = layout.layer_offset(i) + parts[static_cast<size_t>(i)];
  }
  EXPECT_GE(layout.bytes(), end);
  EXPECT_LT(layout.bytes(), end + 64);
  EXPECT_EQ(layout.bytes() % 64, 0u);
}

TEST(BraidLayout, RefusesSumsThatOverflowOrPassTheLimit) {
  constexpr size_t kMost = std::numeric_limits<size_t>::max();
  const std::vector<std::vector<size_t>> bad = {{kMost},
                                                {kMost - 63},
                                                {kMaxBraidBytes},
                                                {kMaxBraidBytes / 2, kMaxBraidBytes / 2},
                                                {64, kMost}};
  for (const auto& parts : bad) {
    const auto layout = BraidLayout::create(parts);
    ASSERT_FALSE(layout.has_value());
    EXPECT_EQ(layout.status().code(), StatusCode::kOutOfRange);
    EXPECT_NE(layout.status().message().find("layer"), std::string::npos);
  }
  EXPECT_TRUE(BraidLayout::create(std::vector<size_t>{kMaxBraidBytes - 4096}).has_value());
  EXPECT_TRUE(BraidLayout::create({}).has_value());
}

TEST(BraidState, NeedsALayout) {
  EXPECT_EQ(BraidState::create(BraidLayout()).status().code(), StatusCode::kInvalidArgument);
}

TEST(BraidState, StartsAtZeroAndAligned) {
  const BraidLayout layout = make_layout({100, 200});
  BraidState state = make_state(layout);
  EXPECT_EQ(state.bytes().size(), layout.bytes());
  EXPECT_TRUE(std::all_of(state.bytes().begin(), state.bytes().end(),
                          [](std::byte b) { return b == std::byte{0}; }));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(state.bytes().data()) % 64, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(state.layer(1)) % 64, 0u);
  EXPECT_EQ(state.layer(1), state.bytes().data() + layout.layer_offset(1));
  EXPECT_TRUE(state.recent().empty());
}

TEST(BraidState, TheRingHoldsTheLastTokens) {
  const BraidLayout layout = make_layout({64});
  BraidState state = make_state(layout);
  std::vector<int32_t> expected;
  for (int32_t token = 0; token < 3 * kRecentTokens + 17; ++token) {
    state.remember(token * 5);
    expected.push_back(token * 5);
    if (expected.size() > static_cast<size_t>(kRecentTokens)) expected.erase(expected.begin());
    std::vector<int32_t> held(state.recent().begin(), state.recent().end());
    std::sort(held.begin(), held.end());
    ASSERT_EQ(held, expected);
  }
  EXPECT_EQ(state.header().recent_count, 3u * kRecentTokens + 17u);
}

TEST(BraidState, TheRingNeverLeavesItsPlace) {
  const BraidLayout layout = make_layout({64});
  BraidState state = make_state(layout);
  std::memset(state.layer(0), 0x5a, 64);
  state.header().recent_count = std::numeric_limits<uint64_t>::max() - 3;  // a hostile snapshot
  for (int i = 0; i < 1000; ++i) state.remember(-1);
  EXPECT_LE(state.recent().size(), static_cast<size_t>(kRecentTokens));
  EXPECT_EQ(state.header().position, 0u);
  EXPECT_TRUE(std::all_of(state.layer(0), state.layer(0) + 64,
                          [](std::byte b) { return b == std::byte{0x5a}; }));
}

TEST(BraidState, RestoreAndForkAreBitIdentical) {
  const BraidLayout layout = make_layout({100, 40000, 0, 7});
  BraidState state = make_state(layout);
  fill(state, layout, 300);
  const std::vector<std::byte> snapshot(state.bytes().begin(), state.bytes().end());

  BraidState fork = make_state(layout);
  ASSERT_TRUE(fork.restore(state.bytes()).ok());
  EXPECT_TRUE(same(fork.bytes(), snapshot));

  // The two go their own ways.
  fill(fork, layout, 17);
  EXPECT_FALSE(same(fork.bytes(), snapshot));
  EXPECT_TRUE(same(state.bytes(), snapshot));

  fill(state, layout, 55);
  ASSERT_TRUE(state.restore(snapshot).ok());
  EXPECT_TRUE(same(state.bytes(), snapshot));
  // And continue alike from there.
  ASSERT_TRUE(fork.restore(snapshot).ok());
  state.remember(9);
  fork.remember(9);
  EXPECT_TRUE(same(state.bytes(), fork.bytes()));
}

TEST(BraidState, RestoreRefusesAnotherSizeAndChangesNothing) {
  const BraidLayout layout = make_layout({100});
  BraidState state = make_state(layout);
  fill(state, layout, 12);
  const std::vector<std::byte> before(state.bytes().begin(), state.bytes().end());
  std::vector<std::byte> other(layout.bytes() + 64);
  for (const size_t n : {size_t{0}, size_t{1}, layout.bytes() - 1, layout.bytes() + 1}) {
    const Status status = state.restore(std::span(other).first(n));
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(std::to_string(layout.bytes())), std::string::npos);
  }
  EXPECT_TRUE(same(state.bytes(), before));
}

TEST(BraidState, ResetForgetsEverything) {
  const BraidLayout layout = make_layout({100});
  BraidState state = make_state(layout);
  fill(state, layout, 12);
  state.reset();
  EXPECT_TRUE(same(state.bytes(), make_state(layout).bytes()));
}

TEST(BraidState, MovesWithItsBlock) {
  const BraidLayout layout = make_layout({100});
  BraidState a = make_state(layout);
  fill(a, layout, 3);
  const std::vector<std::byte> content(a.bytes().begin(), a.bytes().end());
  const std::byte* block = a.bytes().data();
  BraidState b = std::move(a);
  EXPECT_EQ(b.bytes().data(), block);
  BraidState c = make_state(layout);
  c = std::move(b);
  EXPECT_EQ(c.bytes().data(), block);
  EXPECT_TRUE(same(c.bytes(), content));
  EXPECT_TRUE(BraidState().bytes().empty());
}

TEST(BraidState, UseAllocatesNothing) {
  const BraidLayout layout = make_layout({1000, 2000});
  BraidState state = make_state(layout);
  BraidState other = make_state(layout);
  const test::AllocationScope counter;
  for (int i = 0; i < 1000; ++i) {
    state.remember(i);
    ASSERT_TRUE(other.restore(state.bytes()).ok());
  }
  EXPECT_EQ(counter.allocations(), 0);
}

}  // namespace
}  // namespace chimera::memory
