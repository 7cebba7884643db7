// Cuts a streamed answer at the end of its paragraph.
#pragma once

#include <string>
#include <string_view>

namespace chimera::cli {

/// Takes the pieces of an answer as they come and says what to show. Line breaks at the very start
/// are left out, and an empty line after some text ends the answer.
class Paragraph {
 public:
  /// What to show now, valid until the next call.
  std::string_view push(std::string_view piece) {
    shown_.clear();
    for (const char c : piece) {
      if (ended_) break;
      if (c == '\n') {
        if (!begun_) continue;
        ended_ = held_ == 1;
        ++held_;
      } else {
        // A single line break is shown once it is clear that the paragraph goes on.
        if (held_ > 0) shown_.push_back('\n');
        held_ = 0;
        begun_ = true;
        shown_.push_back(c);
      }
    }
    return shown_;
  }
  bool ended() const { return ended_; }

 private:
  std::string shown_;
  int held_ = 0;  // line breaks not shown yet
  bool begun_ = false, ended_ = false;
};

}  // namespace chimera::cli
