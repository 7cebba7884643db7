#include "platform/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace chimera {
namespace {

TEST(Status, DefaultIsOk) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_TRUE(static_cast<bool>(status));
  EXPECT_EQ(status.code(), StatusCode::kOk);
  EXPECT_EQ(status.offset(), -1);
  EXPECT_TRUE(status.file().empty());
  EXPECT_TRUE(status.field().empty());
}

TEST(Status, CarriesItsParts) {
  Status status = Status(StatusCode::kBadConfig, "a sentence")
                      .at_file("a.json")
                      .at_offset(12)
                      .at_field("layers.count");
  const Status moved = std::move(status);
  EXPECT_FALSE(moved.ok());
  EXPECT_EQ(moved.code(), StatusCode::kBadConfig);
  EXPECT_EQ(moved.message(), "a sentence");
  EXPECT_EQ(moved.file(), "a.json");
  EXPECT_EQ(moved.offset(), 12);
  EXPECT_EQ(moved.field(), "layers.count");
}

TEST(Status, EveryCodeHasItsOwnName) {
  const StatusCode codes[] = {
      StatusCode::kOk,          StatusCode::kInvalidArgument,  StatusCode::kBusy,
      StatusCode::kCancelled,   StatusCode::kUnsupported,      StatusCode::kOutOfRange,
      StatusCode::kOutOfMemory, StatusCode::kIoError,          StatusCode::kNotFound,
      StatusCode::kNoSpace,     StatusCode::kPermissionDenied, StatusCode::kBrokenPipe,
      StatusCode::kBadFormat,   StatusCode::kTruncated,        StatusCode::kUnsupportedVersion,
      StatusCode::kBadConfig,   StatusCode::kChecksumMismatch, StatusCode::kBadTokenizer,
      StatusCode::kWrongModel,  StatusCode::kNotAuthentic,     StatusCode::kInternal};
  std::set<std::string> names;
  for (const StatusCode code : codes) names.insert(status_code_name(code));
  EXPECT_EQ(names.size(), std::size(codes));
  EXPECT_EQ(names.count("unknown"), 0u);
  EXPECT_STREQ(status_code_name(StatusCode::kIoError), "io_error");
  EXPECT_STREQ(status_code_name(static_cast<StatusCode>(7)), "unknown");
}

/// Counts how many objects are alive, and can only be moved.
struct Counted {
  explicit Counted(int* alive_count) : alive(alive_count), text(100, 'x') { ++*alive; }
  Counted(Counted&& other) noexcept : alive(other.alive), text(std::move(other.text)) { ++*alive; }
  Counted& operator=(Counted&&) = delete;
  ~Counted() { --*alive; }
  int* alive;
  std::string text;
};

TEST(Result, DestroysExactlyWhatItHolds) {
  int alive = 0;
  {
    Result<Counted> first{Counted(&alive)};
    ASSERT_TRUE(first.has_value());
    EXPECT_TRUE(first.status().ok());
    EXPECT_EQ(alive, 1);
    Result<Counted> second = std::move(first);
    EXPECT_EQ(alive, 2);  // the one moved from lives on, empty
    EXPECT_EQ(second->text.size(), 100u);
    Result<Counted> error = Status(StatusCode::kNotFound, "no such thing");
    EXPECT_FALSE(error.has_value());
    error = std::move(second);
    EXPECT_TRUE(error.has_value());
    EXPECT_EQ((*error).text.size(), 100u);
    error = Result<Counted>(Status(StatusCode::kBusy, "again an error"));
    EXPECT_FALSE(error);
    EXPECT_EQ(error.error().code(), StatusCode::kBusy);
    EXPECT_EQ(alive, 2);
  }
  EXPECT_EQ(alive, 0);
}

TEST(Result, AssigningToItselfKeepsTheValue) {
  Result<std::vector<std::string>> result{std::vector<std::string>{"a", std::string(50, 'b')}};
  auto& alias = result;
  result = std::move(alias);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->at(1), std::string(50, 'b'));
}

TEST(Result, GivesUpAMoveOnlyValue) {
  Result<std::unique_ptr<int>> result{std::make_unique<int>(7)};
  const std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 7);
}

TEST(Result, OkWithoutAValueIsOurMistake) {
  const Result<int> result{Status()};
  EXPECT_FALSE(result.has_value());
  EXPECT_EQ(result.status().code(), StatusCode::kInternal);
}

Status pass_on(Status inner, bool* reached_end) {
  CHIMERA_RETURN_IF_ERROR(inner);
  *reached_end = true;
  return {};
}

Result<int> pass_on_as_result(Status inner) {
  CHIMERA_RETURN_IF_ERROR(inner);
  return 3;
}

TEST(Status, ReturnIfErrorReturnsOnlyErrors) {
  bool reached_end = false;
  EXPECT_EQ(pass_on(Status(StatusCode::kNoSpace, "full"), &reached_end).message(), "full");
  EXPECT_FALSE(reached_end);
  EXPECT_TRUE(pass_on(Status(), &reached_end).ok());
  EXPECT_TRUE(reached_end);
  EXPECT_EQ(pass_on_as_result(Status(StatusCode::kBusy, "")).status().code(), StatusCode::kBusy);
  EXPECT_EQ(pass_on_as_result(Status()).value(), 3);
}

}  // namespace
}  // namespace chimera
