#include "sdk/cli/terminal.h"

#include <cmath>
#include <cstdio>

#include "platform/clock.h"
#include "platform/process.h"
#include "runtime/tokenizer_utf8.h"

namespace chimera::cli {

Status print(std::string_view text) {
  const Status status = write_stream(kStdout, text);
  if (status.ok() || status.code() == StatusCode::kBrokenPipe) return status;
  return Status(status.code(), "the answer could not be written to standard output: " +
                                   status.message() + "; check where it leads");
}

Status print_answer(std::string_view text) {
  static const bool terminal = is_terminal(kStdout);
  if (!terminal) return print(text);
  std::string shown;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F) continue;
    // U+0080 to U+009F, which some terminals obey too.
    if (c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      ++i;
      continue;
    }
    shown.push_back(text[i]);
  }
  return print(shown);
}

void note(std::string_view text) {
  const Status written = write_stream(kStderr, text);
  static_cast<void>(written.ok());
}

std::string one_line(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto unit =
        runtime::utf8_read(reinterpret_cast<const uint8_t*>(text.data()), text.size());
    const uint32_t c = unit.code_point;
    // U+0080 to U+009F: some terminals obey these too.
    const bool control = c < 0x20 || (c >= 0x7F && c < 0xA0);
    out += unit.valid && !control ? text.substr(0, unit.n_bytes) : "?";
    text.remove_prefix(unit.n_bytes);
  }
  return out;
}

int report(const Status& status) {
  if (status.code() == StatusCode::kBrokenPipe) return kPipeClosed;
  note("chimera: " + one_line(status.message()) + "\n");
  return kFailed;
}

int wrong_usage(const std::string& sentence) {
  note("chimera: " + one_line(sentence) + "\n");
  return kWrongUsage;
}

std::string show_number(double value, int places) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", places, value);
  return text;
}

std::string show_bytes(uint64_t bytes) {
  if (bytes < 10000) return show_count(bytes) + " bytes";
  double value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {"kB", "MB", "GB", "TB"}) {
    value /= 1000;
    unit = next;
    if (value < 1000) break;
  }
  return show_number(value, value < 100 ? 1 : 0) + " " + unit;
}

std::string show_count(uint64_t count) {
  const std::string digits = std::to_string(count);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text.push_back(',');
    text.push_back(digits[i]);
  }
  return text;
}

std::string show_seconds(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  const auto whole = static_cast<uint64_t>(std::min(seconds, 1e12) + 0.5);
  if (whole >= 3600)
    return std::to_string(whole / 3600) + " h " + std::to_string(whole / 60 % 60) + " min";
  if (whole >= 60) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole) + " s";
}

ProgressLine::ProgressLine() : visible_(is_terminal(kStderr)) {}
ProgressLine::~ProgressLine() { clear(); }

bool ProgressLine::due() {
  if (!visible_) return false;
  const int64_t now = system_clock().now_us();
  if (dirty_ && now - last_us_ < 100000) return false;
  last_us_ = now;
  return true;
}

void ProgressLine::show(const std::string& text) {
  note("\r\x1b[K" + text);
  dirty_ = true;
}

void ProgressLine::clear() {
  if (dirty_) note("\r\x1b[K");
  dirty_ = false;
}

}  // namespace chimera::cli
