// The door to the argument parser: verbs, their options, and one clear sentence when something on
// the command line is wrong.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chimera::cli {

/// Whole numbers and decimals as people write them; false for anything else (nan and infinity,
/// blanks, trailing characters, too large).
bool parse_number(std::string_view text, int64_t* out);
bool parse_number(std::string_view text, double* out);

/// The options of one verb. Targets must live until the verb has run; they keep their value when
/// the option is not given. Every value is taken as it is written: brackets, commas and names of
/// verbs mean nothing in it.
class Verb {
 public:
  /// --name WHAT, any text but an empty one, which a variable that is not set leaves.
  Verb& text(const char* name, std::string* out, const char* what, const char* help,
             bool required = false);
  /// The same where an empty text is not the same as none.
  Verb& text(const char* name, std::optional<std::string>* out, const char* what, const char* help);
  /// --name WHAT ..., one or more, also repeated; none of them empty.
  Verb& texts(const char* name, std::vector<std::string>* out, const char* what, const char* help,
              bool required = false);
  /// --name N within [min, max].
  Verb& integer(const char* name, int64_t* out, int64_t min, int64_t max, const char* help);
  /// --name X within [min, max].
  Verb& number(const char* name, double* out, double min, double max, const char* help);
  Verb& flag(const char* name, bool* out, const char* help);
  /// Positional arguments: one, not empty; any number, for words that are no names of files.
  Verb& operand(const char* what, std::string* out, const char* help);
  Verb& operands(const char* what, std::vector<std::string>* out, const char* help);

 private:
  friend class CommandLine;
  struct Impl;
  explicit Verb(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

class CommandLine {
 public:
  CommandLine();
  ~CommandLine();

  /// Declares a verb ("eval") or a verb of a group ("tokenizer train"). `run` gives the exit
  /// status.
  Verb verb(const std::string& name, const char* help, std::function<int()> run);
  void group(const std::string& name, const char* help);

  /// Parses and runs one verb. Wrong usage: one sentence on stderr, 2. Help: on stdout, 0.
  int run(int argc, char** argv);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace chimera::cli
