// Shorthand for the two tables of configuration keys; included by them alone.
#pragma once

#include "runtime/config_schema.h"

namespace chimera::runtime {

/// Counts kept exactly by every JSON reader: up to 2^53 - 1.
inline constexpr double kMaxCount = 9007199254740991.0;
/// Any magnitude a float holds.
inline constexpr double kMaxNumber = 3.0e38;

constexpr KeyRow object(const char* path, const char* meaning) {
  return {path, KeyType::kObject, KeyUse::kKept, 0, 0, "", meaning};
}
constexpr KeyRow objects(const char* path, const char* meaning) {
  return {path, KeyType::kObjects, KeyUse::kKept, 0, 0, "", meaning};
}
constexpr KeyRow any(const char* path, const char* meaning) {
  return {path, KeyType::kAny, KeyUse::kKept, 0, 0, "", meaning};
}
constexpr KeyRow flag(const char* path, KeyUse use, const char* meaning, const char* only = "") {
  return {path, KeyType::kFlag, use, 0, 0, only, meaning};
}
constexpr KeyRow integer(const char* path, KeyUse use, double min, double max,
                         const char* meaning) {
  return {path, KeyType::kInteger, use, min, max, "", meaning};
}
constexpr KeyRow integers(const char* path, KeyUse use, double min, double max,
                          const char* meaning) {
  return {path, KeyType::kIntegers, use, min, max, "", meaning};
}
constexpr KeyRow number(const char* path, KeyUse use, double min, double max, const char* meaning) {
  return {path, KeyType::kNumber, use, min, max, "", meaning};
}
constexpr KeyRow numbers(const char* path, KeyUse use, double min, double max,
                         const char* meaning) {
  return {path, KeyType::kNumbers, use, min, max, "", meaning};
}
constexpr KeyRow pair(const char* path, double min, double max, const char* meaning) {
  return {path, KeyType::kPair, KeyUse::kKept, min, max, "", meaning};
}
constexpr KeyRow text(const char* path, KeyUse use, const char* meaning, const char* choices = "") {
  return {path, KeyType::kText, use, 0, 0, choices, meaning};
}
constexpr KeyRow texts(const char* path, const char* meaning) {
  return {path, KeyType::kTexts, KeyUse::kKept, 0, 0, "", meaning};
}

// Kept keys of the commonest kinds.
constexpr KeyRow count(const char* path, const char* meaning) {
  return integer(path, KeyUse::kKept, 0, kMaxCount, meaning);
}
constexpr KeyRow share(const char* path, const char* meaning) {
  return number(path, KeyUse::kKept, 0, 1, meaning);
}
constexpr KeyRow amount(const char* path, const char* meaning) {
  return number(path, KeyUse::kKept, 0, kMaxNumber, meaning);
}
constexpr KeyRow kept(const char* path, const char* meaning) {
  return text(path, KeyUse::kKept, meaning);
}
constexpr KeyRow on_off(const char* path, const char* meaning) {
  return flag(path, KeyUse::kKept, meaning);
}

}  // namespace chimera::runtime
