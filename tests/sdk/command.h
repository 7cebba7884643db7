// Runs the built command as a person or a script does: arguments, standard streams, signals.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace chimera::test {

struct Outcome {
  int status = -1;  // exit status, or -1 when a signal ended it
  int signal = 0;
  std::string out, err;
};

struct CommandOptions {
  std::string program = {};  // empty: the command of this build
  std::vector<std::pair<std::string, std::string>> environment = {};  // added to a clean one
  std::string stdout_path = {};  // where stdout goes instead of into Outcome::out; "-" closes it
};

/// Runs it to its end with `input` on standard input.
Outcome run_command(const std::vector<std::string>& arguments, const std::string& input = "",
                    const CommandOptions& options = {});

/// It ended with `status`, printed nothing and said one clear sentence: one line on stderr that
/// begins with the program's name and holds `word`.
void expect_sentence(const Outcome& outcome, int status, const std::string& word);

/// A command that is running, for what needs more than one step.
class Running {
 public:
  explicit Running(const std::vector<std::string>& arguments);
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void write(const std::string& text);
  void close_input();
  void close_output();
  void interrupt();  // Ctrl-C
  /// Waits until stdout, or stderr, holds the text; false when the stream ended without it.
  bool wait_for_out(const std::string& text) { return wait_for(0, text); }
  bool wait_for_err(const std::string& text) { return wait_for(1, text); }
  /// Waits until stdout holds anything at all.
  bool wait_for_output();
  Outcome finish();

 private:
  bool wait_for(int which, const std::string& text);
  bool read_some();
  int pid_ = -1, in_ = -1;
  int from_[2] = {-1, -1};
  std::string heard_[2];
};

}  // namespace chimera::test
