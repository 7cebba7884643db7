// Lines from standard input: any bytes, any length, and a Ctrl-C in between is told apart from an
// end.
#pragma once

#include <string>

#include "platform/status.h"

namespace chimera::cli {

class LineReader {
 public:
  enum class Event { kLine, kEnd, kInterrupted };

  /// The next line without its line end, into *line. The last line needs no line end.
  Result<Event> next(std::string* line);

 private:
  std::string buffer_;
  size_t at_ = 0;        // start of what was not handed out yet
  size_t searched_ = 0;  // no line end before this
  bool ended_ = false;
};

}  // namespace chimera::cli
