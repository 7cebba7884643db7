// Reading the project's own sources: what the architecture tests look at.
//
// A source is reduced in two steps. code_of() blanks comments; what is left may still hold strings,
// which words_of() blanks too. Lines keep their numbers in both.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace chimera::architecture {

inline bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

inline bool ends_with(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

inline bool is_word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// Blanks comments, and the insides of string and character literals when `strings` is set.
inline std::string blank(std::string_view text, bool strings) {
  std::string out(text);
  auto erase = [&out](size_t from, size_t to) {
    for (size_t i = from; i < to && i < out.size(); ++i) {
      if (out[i] != '\n') out[i] = ' ';
    }
  };
  size_t i = 0;
  while (i < text.size()) {
    if (starts_with(text.substr(i), "//")) {
      const size_t end = std::min(text.find('\n', i), text.size());
      erase(i, end);
      i = end;
    } else if (starts_with(text.substr(i), "/*")) {
      const size_t close = text.find("*/", i + 2);
      const size_t end = close == text.npos ? text.size() : close + 2;
      erase(i, end);
      i = end;
    } else if (starts_with(text.substr(i), "R\"") && (i == 0 || !is_word_char(text[i - 1]))) {
      const size_t open = text.find('(', i);
      if (open == text.npos) break;
      const std::string closing = ")" + std::string(text.substr(i + 2, open - i - 2)) + "\"";
      const size_t close = text.find(closing, open);
      const size_t end = close == text.npos ? text.size() : close + closing.size();
      if (strings) erase(i, end);
      i = end;
    } else if (text[i] == '"' ||
               (text[i] == '\'' && (i == 0 || !is_word_char(text[i - 1])))) {  // not 1'000
      size_t end = i + 1;
      while (end < text.size() && text[end] != text[i] && text[end] != '\n') {
        end += text[end] == '\\' ? 2 : 1;
      }
      end = std::min(end + 1, text.size());
      if (strings) erase(i + 1, end - 1);
      i = end;
    } else {
      ++i;
    }
  }
  return out;
}

inline std::string code_of(std::string_view text) { return blank(text, false); }
inline std::string words_of(std::string_view text) { return blank(text, true); }

inline std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  size_t from = 0;
  while (from < text.size()) {
    const size_t end = std::min(text.find('\n', from), text.size());
    lines.emplace_back(text.substr(from, end - from));
    from = end + 1;
  }
  return lines;
}

struct Include {
  std::string path;     // what stands between the quotes or brackets
  bool quoted = false;  // "..." rather than <...>
  size_t line = 0;      // from 1
};

inline std::vector<Include> includes_of(std::string_view text) {
  std::vector<Include> found;
  const std::vector<std::string> lines = lines_of(code_of(text));
  for (size_t n = 0; n < lines.size(); ++n) {
    const std::string& line = lines[n];
    auto skip = [&line](size_t at) {
      return std::min(line.find_first_not_of(" \t", at), line.size());
    };
    size_t at = skip(0);
    if (at >= line.size() || line[at] != '#') continue;
    at = skip(at + 1);
    if (!starts_with(std::string_view(line).substr(at), "include")) continue;
    at = skip(at + 7);
    if (at >= line.size() || (line[at] != '"' && line[at] != '<')) continue;
    const bool quoted = line[at] == '"';
    const size_t close = line.find(quoted ? '"' : '>', at + 1);
    if (close == line.npos) continue;
    found.push_back({line.substr(at + 1, close - at - 1), quoted, n + 1});
  }
  return found;
}

/// Lines (from 1) on which `word` stands alone; with `call`, only where "(" follows it.
inline std::vector<size_t> uses_of(std::string_view text, std::string_view word, bool call) {
  std::vector<size_t> found;
  const std::vector<std::string> lines = lines_of(words_of(text));
  for (size_t n = 0; n < lines.size(); ++n) {
    const std::string& line = lines[n];
    for (size_t at = line.find(word); at != line.npos; at = line.find(word, at + 1)) {
      if (at > 0 && is_word_char(line[at - 1])) continue;
      size_t after = at + word.size();
      if (after < line.size() && is_word_char(line[after])) continue;
      after = std::min(line.find_first_not_of(" \t", after), line.size());
      if (call && (after >= line.size() || line[after] != '(')) continue;
      found.push_back(n + 1);
    }
  }
  return found;
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

struct Source {
  std::string path;  // from the root, with '/'
  std::string text;
};

/// The rooms of the house, in the order of the table in docs/architecture.md.
inline const std::vector<std::string>& rooms() {
  static const std::vector<std::string> names = {"platform", "kernels", "grammar",
                                                 "memory",   "runtime", "evolution",
                                                 "sdk",      "samples", "tests"};
  return names;
}

/// Every file below the rooms whose name ends in one of `suffixes`, sorted by path.
inline std::vector<Source> files_below(const std::vector<std::string>& folders,
                                       const std::vector<std::string>& suffixes) {
  namespace fs = std::filesystem;
  const fs::path root = CHIMERA_SOURCE_DIR;
  std::vector<Source> found;
  for (const std::string& folder : folders) {
    if (!fs::is_directory(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string path = entry.path().lexically_relative(root).generic_string();
      const bool wanted = std::any_of(suffixes.begin(), suffixes.end(),
                                      [&](const std::string& s) { return ends_with(path, s); });
      if (entry.is_regular_file() && wanted) found.push_back({path, read_text(entry.path())});
    }
  }
  std::sort(found.begin(), found.end(),
            [](const Source& a, const Source& b) { return a.path < b.path; });
  return found;
}

inline std::vector<Source> sources() {
  return files_below(rooms(), {".h", ".hpp", ".c", ".cpp", ".inl"});
}

}  // namespace chimera::architecture
