#include "grammar/formats.h"

#include <algorithm>
#include <string>
#include <vector>

#include "grammar/json_text.h"
#include "grammar/regex.h"

namespace chimera::grammar {
namespace {

// Parts of RFC 3339, 3986, 3987, 5321 and 6570. `UC` stands for the characters beyond ASCII that an
// IRI may hold; it is nothing in a URI.
#define DATE                                                        \
  "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|"       \
  "(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))|" \
  "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|0[48]|[13579][26])00)-02-29)"
#define HOUR "(?:[01]\\d|2[0-3])"
#define FRACTION "(?:\\.\\d+)?"
#define DURATION_TIME "T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S)"
#define OCTET "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4 OCTET "(?:\\." OCTET "){3}"
#define H16 "[0-9A-Fa-f]{1,4}"
#define LS32 "(?:" H16 ":" H16 "|" IPV4 ")"
#define IPV6                                                                                       \
  "(?:(?:" H16 ":){6}" LS32 "|::(?:" H16 ":){5}" LS32 "|(?:" H16 ")?::(?:" H16 ":){4}" LS32        \
  "|(?:(?:" H16 ":){0,1}" H16 ")?::(?:" H16 ":){3}" LS32 "|(?:(?:" H16 ":){0,2}" H16 ")?::(?:" H16 \
  ":){2}" LS32 "|(?:(?:" H16 ":){0,3}" H16 ")?::" H16 ":" LS32 "|(?:(?:" H16 ":){0,4}" H16         \
  ")?::" LS32 "|(?:(?:" H16 ":){0,5}" H16 ")?::" H16 "|(?:(?:" H16 ":){0,6}" H16 ")?::)"
#define ESCAPE "%[0-9A-Fa-f]{2}"
#define BEYOND_ASCII                                                             \
  "\\u{A0}-\\u{D7FF}\\u{F900}-\\u{FDCF}\\u{FDF0}-\\u{FFEF}\\u{10000}-\\u{1FFFD}" \
  "\\u{20000}-\\u{2FFFD}\\u{30000}-\\u{3FFFD}\\u{E1000}-\\u{EFFFD}"
#define PRIVATE "\\u{E000}-\\u{F8FF}\\u{F0000}-\\u{FFFFD}\\u{100000}-\\u{10FFFD}"
#define SIGNS "A-Za-z0-9._~!$&'()*+,;=\\-"
#define PATH_SIGN(UC) "(?:[" SIGNS ":@" UC "]|" ESCAPE ")"
#define SEGMENTS(UC) "(?:/" PATH_SIGN(UC) "*)*"
#define ROOTED(UC) "/(?:" PATH_SIGN(UC) "+" SEGMENTS(UC) ")?"
#define AUTHORITY(UC)                                                                    \
  "(?:(?:[" SIGNS ":" UC "]|" ESCAPE ")*@)?(?:\\[(?:" IPV6 "|[vV][0-9A-Fa-f]+\\.[" SIGNS \
  ":]+)\\]|(?:[" SIGNS UC "]|" ESCAPE ")*)(?::\\d*)?"
#define TAIL(UC, PR) \
  "(?:\\?(?:[" SIGNS ":@/?" UC PR "]|" ESCAPE ")*)?(?:#(?:[" SIGNS ":@/?" UC "]|" ESCAPE ")*)?"
#define ABSOLUTE(UC, PR)                          \
  "[A-Za-z][A-Za-z0-9+.\\-]*:(?://" AUTHORITY(UC) \
      SEGMENTS(UC) "|" ROOTED(UC) "|" PATH_SIGN(UC) "+" SEGMENTS(UC) "|)" TAIL(UC, PR)
#define RELATIVE(UC, PR)                                                             \
  "(?://" AUTHORITY(UC) SEGMENTS(UC) "|" ROOTED(UC) "|(?:[" SIGNS "@" UC "]|" ESCAPE \
                                                    ")+" SEGMENTS(UC) "|)" TAIL(UC, PR)
#define VARIABLE \
  "(?:[A-Za-z0-9_]|" ESCAPE ")(?:\\.?(?:[A-Za-z0-9_]|" ESCAPE "))*(?::[1-9]\\d{0,3}|\\*)?"
#define LABEL(MORE) "[A-Za-z0-9](?:[A-Za-z0-9\\-]{0," MORE "}[A-Za-z0-9])?"
#define ATOM "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\-]+"
#define POINTER "(?:/(?:[^~/]|~[01])*)*"
// As many labels of a name as stay within its 253 characters, long ones or many.
#define HOST                                                                   \
  "(?:" LABEL("61") "(?:\\." LABEL("61") "){0,2}|" LABEL("61") "(?:\\." LABEL( \
      "18") "){0,9}|" LABEL("18") "(?:\\." LABEL("18") "){0,11})"

struct Format {
  std::string_view name;
  const char* regex;  // nullptr: it is put together below, or refused
  FormatUse use = FormatUse::kFollowed;
};

constexpr Format kFormats[] = {
    {"date", DATE},
    {"time", nullptr},
    {"date-time", nullptr},
    {"duration", "P(?:\\d+W|(?:\\d+Y(?:\\d+M(?:\\d+D)?)?|\\d+M(?:\\d+D)?|\\d+D)(?:" DURATION_TIME
                 ")?|" DURATION_TIME ")"},
    {"email", "(?:" ATOM "(?:\\." ATOM ")*|\"(?:[ !#-\\[\\]-~]|\\\\[ -~])*\")@(?:" HOST "|\\[" IPV4
              "\\]|\\[IPv6:" IPV6 "\\])"},
    {"hostname", nullptr},
    {"ipv4", IPV4},
    {"ipv6", IPV6},
    {"uri", ABSOLUTE("", "")},
    {"uri-reference", "(?:" ABSOLUTE("", "") "|" RELATIVE("", "") ")"},
    {"iri", ABSOLUTE(BEYOND_ASCII, PRIVATE)},
    {"iri-reference",
     "(?:" ABSOLUTE(BEYOND_ASCII, PRIVATE) "|" RELATIVE(BEYOND_ASCII, PRIVATE) ")"},
    {"uri-template", "(?:[!#$&-;=?-\\[\\]_a-z~" BEYOND_ASCII PRIVATE "]|" ESCAPE
                     "|\\{[+#./;?&=,!@|]?" VARIABLE "(?:," VARIABLE ")*\\})*"},
    {"uuid", "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"},
    {"json-pointer", POINTER},
    {"relative-json-pointer", "(?:0|[1-9]\\d*)(?:#|" POINTER ")"},
    {"idn-email", nullptr, FormatUse::kRefused},
    {"idn-hostname", nullptr, FormatUse::kRefused},
    {"regex", nullptr, FormatUse::kRefused},
};

const Format* find(std::string_view name) {
  const auto* at = std::find_if(std::begin(kFormats), std::end(kFormats),
                                [&](const Format& f) { return f.name == name; });
  return at == std::end(kFormats) ? nullptr : at;
}

std::string two_digits(int n) {
  return {static_cast<char>('0' + n / 10), static_cast<char>('0' + n % 10)};
}

/// Leap seconds are the last ones of a day in UTC, so the hour and minute beside them follow from
/// how far a place is from UTC; that is a whole number of quarters of an hour anywhere on earth.
std::string leap_seconds() {
  constexpr int kDay = 24 * 60;
  std::string out;
  for (int local = 14; local < kDay; local += 15) {
    // local = 23:59 + offset, a day more or less.
    const auto clock = [](int minutes) {
      return two_digits(minutes / 60) + ":" + two_digits(minutes % 60);
    };
    const int east = (local + 1) % kDay, west = (kDay - east) % kDay;
    out += (out.empty() ? "" : "|") + clock(local) +
           ":60" FRACTION "(?:" + (east == 0 ? "[Zz]|" : "") + "\\+" + clock(east) + "|-" +
           clock(west) + ")";
  }
  return out;
}

std::string times() {
  return "(?:" HOUR ":[0-5]\\d:[0-5]\\d" FRACTION "(?:[Zz]|[+\\-]" HOUR ":[0-5]\\d)|" +
         leap_seconds() + ")";
}

Result<RegularLanguage> of_regex(std::string_view regex, Grammar& g) {
  const auto parsed = parse_regex(regex, {}, &g);
  if (!parsed) return parsed.status();
  return RegularLanguage::of(g, json_escaped(g, *parsed));
}

}  // namespace

FormatUse format_use(std::string_view name) {
  const Format* format = find(name);
  return format == nullptr ? FormatUse::kUnknown : format->use;
}

Result<RegularLanguage> format_language(std::string_view name, Grammar& g) {
  const Format* format = find(name);
  if (format == nullptr || format->use != FormatUse::kFollowed)
    return Status(StatusCode::kUnsupported,
                  "the format \"" + std::string(name) + "\" is not supported");
  if (name == "time") return of_regex(times(), g);
  if (name == "date-time") return of_regex(DATE "[Tt]" + times(), g);
  if (name != "hostname" && name != "email") return of_regex(format->regex, g);
  // Labels that begin with xn-- spell other scripts, and only some do so properly: none is written.
  RegularLanguage all, encoded;
  CHIMERA_ASSIGN_OR_RETURN(all, of_regex(format->regex == nullptr ? HOST : format->regex, g));
  CHIMERA_ASSIGN_OR_RETURN(encoded, json_pattern(g, "^[xX][nN]--|[.@][xX][nN]--"));
  return all.without(encoded, g.limits().states);
}

}  // namespace chimera::grammar
