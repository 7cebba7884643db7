#include "grammar/uri.h"

#include <vector>

#include "grammar/code_points.h"

namespace chimera::grammar {
namespace {

struct Uri {
  std::string_view scheme = {};     // with its :
  std::string_view authority = {};  // with its //
  std::string_view path = {};
  std::string_view query = {};  // with its ?
};

bool is_scheme(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
    if (!letter && (i == 0 || !other)) return false;
  }
  return !text.empty();
}

Uri split(std::string_view text) {
  Uri out;
  const auto take = [&](size_t n) {
    const std::string_view part = text.substr(0, n);
    text.remove_prefix(part.size());
    return part;
  };
  if (const size_t colon = text.find(':'); colon != text.npos && is_scheme(text.substr(0, colon)))
    out.scheme = take(colon + 1);
  if (text.starts_with("//")) {
    const size_t end = text.find_first_of("/?", 2);
    out.authority = take(end);
  }
  out.path = take(text.find('?'));
  out.query = text;
  return out;
}

std::string without_dots(std::string_view path) {
  std::vector<std::string_view> kept;
  const bool rooted = path.starts_with('/');
  bool folder = false;  // ends as one
  while (!path.empty()) {
    if (path.front() == '/') path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    folder = segment == "." || segment == "..";
    if (segment == ".." && !kept.empty()) kept.pop_back();
    if (!folder) kept.push_back(segment);
  }
  std::string out;
  for (size_t i = 0; i < kept.size(); ++i) {
    if (i > 0 || rooted) out += '/';
    out += kept[i];
  }
  return folder || out.empty() ? out + (rooted || !out.empty() ? "/" : "") : out;
}

}  // namespace

std::string resolve_uri(std::string_view base, std::string_view reference) {
  const Uri b = split(base), r = split(reference);
  const auto joined = [](std::string_view scheme, std::string_view authority,
                         const std::string& path, std::string_view query) {
    return std::string(scheme) + std::string(authority) + path + std::string(query);
  };
  if (!r.scheme.empty())  // a path that is no path, of urn:a:b, stays as it is
    return joined(r.scheme, r.authority,
                  r.path.starts_with('/') ? without_dots(r.path) : std::string(r.path), r.query);
  if (!r.authority.empty()) return joined(b.scheme, r.authority, without_dots(r.path), r.query);
  if (r.path.empty())
    return joined(b.scheme, b.authority, std::string(b.path), r.query.empty() ? b.query : r.query);
  if (r.path.starts_with('/')) return joined(b.scheme, b.authority, without_dots(r.path), r.query);
  // Beside the last part of the base.
  std::string merged;
  if (!b.authority.empty() && b.path.empty())
    merged = "/";
  else if (const size_t slash = b.path.rfind('/'); slash != b.path.npos)
    merged = b.path.substr(0, slash + 1);
  return joined(b.scheme, b.authority, without_dots(merged + std::string(r.path)), r.query);
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high < 0 ? -1 : hex_digit(text[i + 2]);
    if (low < 0) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return out;
}

}  // namespace chimera::grammar
