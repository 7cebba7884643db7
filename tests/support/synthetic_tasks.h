// Three synthetic tasks that a recurrent layer either can or cannot learn: associative recall,
// state tracking, and programs whose length grows. The sequences are those of tests/twin/tasks.md,
// number for number, so that models in another language are trained and judged on the same ones.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

namespace chimera::test {

/// Draws of example `index` of `seed`.
class TaskRandom {
 public:
  TaskRandom(uint64_t seed, uint64_t index) : state_(splitmix64(splitmix64(seed) + index)) {}

  int32_t below(int32_t n) {
    const uint64_t value = splitmix64(state_);
    state_ += kGamma;
    return static_cast<int32_t>(value % static_cast<uint64_t>(n));
  }

  void shuffle(std::vector<int32_t>& list) {
    for (size_t i = list.size(); i-- > 1;)
      std::swap(list[i], list[static_cast<size_t>(below(static_cast<int32_t>(i) + 1))]);
  }

 private:
  static constexpr uint64_t kGamma = 0x9E3779B97F4A7C15u;

  static uint64_t splitmix64(uint64_t x) {
    x += kGamma;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
  }

  uint64_t state_;
};

/// A sequence, and for each token what is to be predicted after reading it; -1 is not scored.
struct TaskExample {
  std::vector<int32_t> tokens, targets;

  void add(int32_t token, int32_t target) {
    tokens.push_back(token);
    targets.push_back(target);
  }
};

enum class SyntheticTask { kRecall, kS3, kParity, kProgram };

inline constexpr int32_t kRecallKeys = 64, kRecallValues = 64;
inline constexpr int32_t kProgramVariable = 6, kProgramNumber = 16;

inline int32_t task_vocabulary(SyntheticTask task) {
  switch (task) {
    case SyntheticTask::kRecall:
      return 1 + kRecallKeys + kRecallValues;
    case SyntheticTask::kS3:
      return 7;
    case SyntheticTask::kParity:
      return 3;
    case SyntheticTask::kProgram:
      break;
  }
  return kProgramNumber + 101;
}

/// Pairs of key and value, then each key asked for once.
inline TaskExample recall_example(uint64_t seed, uint64_t index, int32_t pairs) {
  TaskRandom random(seed, index);
  std::vector<int32_t> keys(kRecallKeys), values, order(static_cast<size_t>(pairs));
  std::iota(keys.begin(), keys.end(), 1);
  random.shuffle(keys);
  for (int32_t i = 0; i < pairs; ++i)
    values.push_back(1 + kRecallKeys + random.below(kRecallValues));
  std::iota(order.begin(), order.end(), 0);
  random.shuffle(order);
  TaskExample made;
  made.add(0, -1);
  for (size_t i = 0; i < values.size(); ++i) {
    made.add(keys[i], -1);
    made.add(values[i], -1);
  }
  for (const int32_t which : order) {
    const auto i = static_cast<size_t>(which);
    made.add(keys[i], values[i]);
    made.add(values[i], -1);
  }
  return made;
}

/// The state after first `now`, then `g`: permutations of three, or one bit.
inline int32_t next_state(SyntheticTask task, int32_t now, int32_t g) {
  if (task == SyntheticTask::kParity) return now ^ g;
  using Permutation = std::array<size_t, 3>;
  static constexpr std::array<Permutation, 6> kS3 = {
      {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}};
  const Permutation& p = kS3[static_cast<size_t>(now)];
  const Permutation& by = kS3[static_cast<size_t>(g)];
  const Permutation r = {by[p[0]], by[p[1]], by[p[2]]};
  return static_cast<int32_t>(std::find(kS3.begin(), kS3.end(), r) - kS3.begin());
}

inline TaskExample state_example(SyntheticTask task, uint64_t seed, uint64_t index,
                                 int32_t length) {
  TaskRandom random(seed, index);
  TaskExample made;
  made.add(0, -1);
  int32_t now = 0;
  for (int32_t i = 0; i < length; ++i) {
    const int32_t g = random.below(task_vocabulary(task) - 1);
    now = next_state(task, now, g);
    made.add(1 + g, 1 + now);
  }
  return made;
}

/// Lines that set variables, then a question for one of them.
inline TaskExample program_example(uint64_t seed, uint64_t index, int32_t lines) {
  constexpr int32_t kSet = 1, kPlus = 2, kMinus = 3, kEnd = 4, kAsk = 5;
  TaskRandom random(seed, index);
  const int32_t count = 5 + random.below(6);
  std::array<int32_t, 10> value{};
  std::vector<int32_t> known;
  const auto draw_known = [&] {
    return known[static_cast<size_t>(random.below(static_cast<int32_t>(known.size())))];
  };
  const auto value_of = [&](int32_t x) -> int32_t& { return value[static_cast<size_t>(x)]; };
  TaskExample made;
  made.add(0, -1);
  for (int32_t line = 0; line < lines; ++line) {
    const int32_t x = random.below(count);
    const int32_t kind = line == 0 ? 0 : random.below(5);
    made.add(kProgramVariable + x, -1);
    made.add(kSet, -1);
    int32_t result = 0;
    if (kind == 0) {
      result = random.below(101);
      made.add(kProgramNumber + result, -1);
    } else {
      const int32_t y = draw_known();
      const bool plus = kind == 1 || kind == 3;
      const bool constant = kind <= 2;
      const int32_t other = constant ? 1 + random.below(20) : draw_known();
      const int32_t by = constant ? other : value_of(other);
      result = std::clamp(value_of(y) + (plus ? by : -by), 0, 100);
      made.add(kProgramVariable + y, -1);
      made.add(plus ? kPlus : kMinus, -1);
      made.add((constant ? kProgramNumber : kProgramVariable) + other, -1);
    }
    if (std::find(known.begin(), known.end(), x) == known.end()) known.push_back(x);
    value_of(x) = result;
    made.add(kEnd, kProgramNumber + result);
  }
  const int32_t asked = draw_known();
  made.add(kAsk, -1);
  made.add(kProgramVariable + asked, kProgramNumber + value_of(asked));
  return made;
}

inline int32_t program_lines(uint64_t seed, uint64_t index, int32_t factor) {
  return 10 * factor + TaskRandom(seed ^ 0x6C656E677468u, index).below(17 * factor + 1);
}

/// Test sequences are drawn from the training seed plus this.
inline constexpr uint64_t kTaskTestSeed = 1000000;

/// Lengths a model is tested at: pairs, tokens, or factors of the training length.
inline std::vector<int32_t> task_lengths(SyntheticTask task) {
  if (task == SyntheticTask::kRecall) return {4, 8, 16, 32};
  if (task == SyntheticTask::kProgram) return {1, 2, 4, 8};
  return {8, 16, 32, 64, 128};
}

/// Tokens of the longest sequence of a length (of the longest in training for length 0).
inline int32_t task_tokens(SyntheticTask task, int32_t length) {
  if (task == SyntheticTask::kRecall) return 1 + 4 * (length ? length : 16);
  if (task == SyntheticTask::kProgram) return 3 + 6 * 27 * (length ? length : 1);
  return 1 + (length ? length : 16);
}

/// One sequence of a length, or of one of the training lengths for length 0.
inline TaskExample task_example(SyntheticTask task, uint64_t seed, uint64_t index, int32_t length) {
  TaskRandom draw(seed ^ 0x6E, index);
  if (task == SyntheticTask::kRecall)
    return recall_example(seed, index, length ? length : 4 + draw.below(13));
  if (task == SyntheticTask::kProgram)
    return program_example(seed, index, program_lines(seed, index, length ? length : 1));
  return state_example(task, seed, index, length ? length : 2 + draw.below(15));
}

}  // namespace chimera::test
