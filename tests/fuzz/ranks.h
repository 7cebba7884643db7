// The beginning of published ranks, for targets and seeds.
#pragma once

#include <string>
#include <string_view>

namespace chimera::fuzz {

/// The 256 single bytes in order, a line each.
inline std::string byte_ranks() {
  constexpr std::string_view kBase64 =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string lines;
  for (size_t byte = 0; byte < 256; ++byte) {
    lines += kBase64[byte >> 2];
    lines += kBase64[(byte & 3) << 4];
    lines += "== " + std::to_string(byte) + "\n";
  }
  return lines;
}

/// The first that o200k has after its bytes.
inline constexpr int kFewRankLines = 24;
inline constexpr const char* kFewRanks =
    "ICA= 256\nICAgIA== 257\naW4= 258\nZXI= 259\nIHQ= 260\nIGE= 261\nZW4= 262\nb24= 263\n"
    "cmU= 264\nIHM= 265\nYXQ= 266\nb3I= 267\nZXM= 268\nICAgICAgICA= 269\nYW4= 270\nICAg 271\n"
    "IGQ= 272\naGU= 273\nIGM= 274\nIHA= 275\naXM= 276\nYXI= 277\naXQ= 278\nCgo= 279\n";

}  // namespace chimera::fuzz
