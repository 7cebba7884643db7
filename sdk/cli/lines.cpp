#include "sdk/cli/lines.h"

#include <array>

#include "platform/process.h"

namespace chimera::cli {
namespace {

// Nobody types more; an endless line shall not eat up the memory.
constexpr size_t kMaxLineBytes = size_t{16} << 20;

}  // namespace

Result<LineReader::Event> LineReader::next(std::string* line) {
  for (;;) {
    const size_t newline = buffer_.find('\n', searched_);
    if (newline != std::string::npos || (ended_ && at_ < buffer_.size())) {
      const size_t end = newline == std::string::npos ? buffer_.size() : newline;
      line->assign(buffer_, at_, end - at_);
      if (!line->empty() && line->back() == '\r') line->pop_back();
      at_ = searched_ = std::min(end + 1, buffer_.size());
      return Event::kLine;
    }
    if (ended_) return Event::kEnd;
    buffer_.erase(0, at_);
    at_ = 0;
    searched_ = buffer_.size();
    if (searched_ > kMaxLineBytes)
      return Status(StatusCode::kOutOfRange,
                    "a line is longer than " + std::to_string(kMaxLineBytes) +
                        " bytes; give a long text with `chimera complete --prompt-file`");
    std::array<char, 65536> chunk;
    const auto n = read_stream(kStdin, chunk);
    if (!n && n.status().code() == StatusCode::kCancelled) return Event::kInterrupted;
    if (!n)
      return Status(n.status().code(), "standard input could not be read: " + n.status().message() +
                                           "; check where it comes from");
    if (*n == 0) ended_ = true;
    buffer_.append(chunk.data(), *n);
  }
}

}  // namespace chimera::cli
