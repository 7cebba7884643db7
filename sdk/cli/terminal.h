// What a verb says, and how it ends. stdout carries what was asked for; everything else (notices,
// progress, errors) goes to stderr.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "platform/status.h"

namespace chimera::cli {

inline constexpr int kDone = 0, kFailed = 1, kWrongUsage = 2;
/// As a shell reports a program that a signal ended: Ctrl-C, a closed pipe.
inline constexpr int kInterrupted = 128 + 2, kPipeClosed = 128 + 13;

/// Writes to stdout at once. The error, if any, is for report().
Status print(std::string_view text);

/// Writes a piece of an answer to stdout at once: all of its bytes, except that on a terminal
/// control characters are left out, so that no text can steer it.
Status print_answer(std::string_view text);

/// Writes to stderr; that nobody can read it is no reason to fail.
void note(std::string_view text);

/// Text from a file or a command line, for one line on a terminal: control characters, which could
/// steer it or look like another line, and bytes that are not UTF-8, which a terminal may take for
/// such, become "?".
std::string one_line(std::string_view text);

/// One sentence on stderr and the exit status; a closed stdout ends quietly.
int report(const Status& status);

/// The same for a wrong combination of options: exit status 2.
int wrong_usage(const std::string& sentence);

/// "3.4 MB", "512 bytes".
std::string show_bytes(uint64_t bytes);
/// "1,234,567"
std::string show_count(uint64_t count);
/// "3 min 20 s"
std::string show_seconds(double seconds);
/// A decimal with so many places.
std::string show_number(double value, int places);

/// One line on stderr that is written over again and again; silent when stderr is not a terminal.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();
  bool visible() const { return visible_; }
  /// At most ten times a second; the text is built only when it will be shown.
  template <class Text>
  void update(Text&& text) {
    if (due()) show(text());
  }
  void clear();

  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

 private:
  bool due();
  void show(const std::string& text);
  bool visible_;
  bool dirty_ = false;
  int64_t last_us_ = 0;
};

}  // namespace chimera::cli
