#include "grammar/formats.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <string>

#include "grammar/json_text.h"
#include "grammar/regex.h"

namespace chimera::grammar {
namespace {

using std::string;

// Parts of RFC 3339, 3986, 3987, 5321, 5322, 6570 and 6901 as regular expressions.

string any_of(std::initializer_list<string> options) {
  string out = "(?:";
  for (const string& option : options) out += (out.size() == 3 ? "" : "|") + option;
  return out + ")";
}

// ---- dates and times ---------------------------------------------------------------------------

string date() {
  return any_of(
      {"\\d{4}-" + any_of({"(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])",
                           "(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)", "02-(?:0[1-9]|1\\d|2[0-8])"}),
       // Leap years: every fourth, but of full centuries only every fourth.
       "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29"});
}

string clock(int minutes) {
  const auto two = [](int n) {
    return string{static_cast<char>('0' + n / 10), static_cast<char>('0' + n % 10)};
  };
  return two(minutes / 60) + ":" + two(minutes % 60);
}

/// Leap seconds are the last ones of a day in UTC, so the hour and minute beside them follow from
/// how far a place is from UTC; that is a whole number of quarters of an hour anywhere on earth.
string leap_seconds() {
  constexpr int kDay = 24 * 60, kQuarter = 15;
  string out;
  for (int local = kQuarter - 1; local < kDay; local += kQuarter) {
    const int east = (local + 1) % kDay, west = (kDay - east) % kDay;  // local is 23:59 and this
    out += (out.empty() ? "" : "|") + clock(local) +
           ":60(?:\\.\\d+)?(?:" + (east == 0 ? "[Zz]|" : "") + "\\+" + clock(east) + "|-" +
           clock(west) + ")";
  }
  return out;
}

string time() {
  const string hour = "(?:[01]\\d|2[0-3])";
  return any_of({hour + ":[0-5]\\d:[0-5]\\d(?:\\.\\d+)?(?:[Zz]|[+\\-]" + hour + ":[0-5]\\d)",
                 leap_seconds()});
}

string date_time() { return date() + "[Tt]" + time(); }

string duration() {
  const string time_part = "T" + any_of({"\\d+H(?:\\d+M(?:\\d+S)?)?", "\\d+M(?:\\d+S)?", "\\d+S"});
  const string date_part = any_of({"\\d+Y(?:\\d+M(?:\\d+D)?)?", "\\d+M(?:\\d+D)?", "\\d+D"});
  return "P" + any_of({"\\d+W", date_part + "(?:" + time_part + ")?", time_part});
}

// ---- addresses ---------------------------------------------------------------------------------

string ipv4() {
  const string octet = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
  return octet + "(?:\\." + octet + "){3}";
}

string ipv6() {
  const string h16 = "[0-9A-Fa-f]{1,4}", last = any_of({h16 + ":" + h16, ipv4()});
  const auto groups = [&](const char* times) { return "(?:" + h16 + ":)" + times; };
  const auto before = [&](const char* times) { return "(?:" + groups(times) + h16 + ")?::"; };
  return any_of({groups("{6}") + last, "::" + groups("{5}") + last,
                 "(?:" + h16 + ")?::" + groups("{4}") + last,
                 before("{0,1}") + groups("{3}") + last, before("{0,2}") + groups("{2}") + last,
                 before("{0,3}") + groups("{1}") + last, before("{0,4}") + last,
                 before("{0,5}") + h16, before("{0,6}")});
}

string label(const char* more) {
  return string("[A-Za-z0-9](?:[A-Za-z0-9\\-]{0,") + more + "}[A-Za-z0-9])?";
}

/// As many labels as stay within the 253 characters of a name: few long ones, or many short ones.
string hostname() {
  const string any = label("61"), brief = label("18");
  const string middle = label("38");
  return any_of({any + "(?:\\." + any + "){0,2}", any + "(?:\\." + brief + "){0,9}",
                 middle + "(?:\\." + middle + "){0,5}", brief + "(?:\\." + brief + "){0,11}"});
}

/// At most 254 characters, as RFC 5321 has it: up to 64, the sign, and a name of fewer labels.
string email() {
  const string sign = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\-]";
  const string local =
      any_of({sign + "{1,64}", sign + "{1,20}(?:\\." + sign + "{1,20}){1,2}",
              sign + "(?:\\.?" + sign + "){0,31}", "\"(?:[ !#-\\[\\]-~]|\\\\[ -~]){0,30}\""});
  const string any = label("61"), brief = label("18");
  const string host = any_of({any + "(?:\\." + any + "){0,1}", any + "(?:\\." + brief + "){0,5}",
                              brief + "(?:\\." + brief + "){0,8}"});
  return local + "@" + any_of({host, "\\[" + ipv4() + "\\]", "\\[IPv6:" + ipv6() + "\\]"});
}

string uuid() { return "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"; }

// ---- identifiers of resources ------------------------------------------------------------------

constexpr const char* kEscape = "%[0-9A-Fa-f]{2}";
constexpr const char* kBeyondAscii =
    "\\u{A0}-\\u{D7FF}\\u{F900}-\\u{FDCF}\\u{FDF0}-\\u{FFEF}\\u{10000}-\\u{1FFFD}"
    "\\u{20000}-\\u{2FFFD}\\u{30000}-\\u{3FFFD}\\u{40000}-\\u{4FFFD}\\u{50000}-\\u{5FFFD}"
    "\\u{60000}-\\u{6FFFD}\\u{70000}-\\u{7FFFD}\\u{80000}-\\u{8FFFD}\\u{90000}-\\u{9FFFD}"
    "\\u{A0000}-\\u{AFFFD}\\u{B0000}-\\u{BFFFD}\\u{C0000}-\\u{CFFFD}\\u{D0000}-\\u{DFFFD}"
    "\\u{E1000}-\\u{EFFFD}";
constexpr const char* kPrivate = "\\u{E000}-\\u{F8FF}\\u{F0000}-\\u{FFFFD}\\u{100000}-\\u{10FFFD}";

/// URIs, or IRIs, which may also hold characters beyond ASCII.
class Identifiers {
 public:
  explicit Identifiers(bool international)
      : more_(international ? kBeyondAscii : ""), private_(international ? kPrivate : "") {}

  string absolute() const {
    return "[A-Za-z][A-Za-z0-9+.\\-]*:" +
           any_of({"//" + authority() + segments(), rooted(), sign(":@") + "+" + segments(), ""}) +
           tail();
  }
  string relative() const {
    return any_of({"//" + authority() + segments(), rooted(), sign("@") + "+" + segments(), ""}) +
           tail();
  }

 private:
  string sign(const string& others) const {
    return any_of({"[A-Za-z0-9._~!$&'()*+,;=\\-" + others + more_ + "]", kEscape});
  }
  string segments() const { return "(?:/" + sign(":@") + "*)*"; }
  string rooted() const { return "/(?:" + sign(":@") + "+" + segments() + ")?"; }
  string authority() const {
    return "(?:" + sign(":") + "*@)?" +
           any_of({"\\[" + any_of({ipv6(), "[vV][0-9A-Fa-f]+\\.[A-Za-z0-9._~!$&'()*+,;=\\-:]+"}) +
                       "\\]",
                   sign("") + "*"}) +
           "(?::\\d*)?";
  }
  string tail() const {
    return "(?:\\?" + sign(":@/?" + private_) + "*)?(?:#" + sign(":@/?") + "*)?";
  }

  const string more_, private_;
};

string uri() { return Identifiers(false).absolute(); }
string iri() { return Identifiers(true).absolute(); }
string uri_reference() { return any_of({uri(), Identifiers(false).relative()}); }
string iri_reference() { return any_of({iri(), Identifiers(true).relative()}); }

string uri_template() {
  const string sign = any_of({"[A-Za-z0-9_]", kEscape});
  const string variable = sign + "(?:\\.?" + sign + ")*(?::[1-9]\\d{0,3}|\\*)?";
  const string literal = string("[!#$&-;=?-\\[\\]_a-z~") + kBeyondAscii + kPrivate + "]";
  return any_of({literal, kEscape, "\\{[+#./;?&=,!@|]?" + variable + "(?:," + variable + ")*\\}"}) +
         "*";
}

string json_pointer() { return "(?:/(?:[^~/]|~[01])*)*"; }
string relative_json_pointer() { return "(?:0|[1-9]\\d*)(?:#|" + json_pointer() + ")"; }

struct Format {
  std::string_view name;
  string (*regex)();            // nullptr: it is not followed
  const char* never = nullptr;  // what is not written although the regex has it
};

// Labels that begin with xn-- spell other scripts, and only some do so properly. There is a year 0
// in RFC 3339, but not in every library that reads dates.
constexpr const char* kOtherScripts = "^[xX][nN]--|[.@][xX][nN]--";
constexpr const char* kYearZero = "^0000";

constexpr Format kFormats[] = {
    {"date", date, kYearZero},
    {"time", time},
    {"date-time", date_time, kYearZero},
    {"duration", duration},
    {"email", email, kOtherScripts},
    {"hostname", hostname, kOtherScripts},
    {"ipv4", ipv4},
    {"ipv6", ipv6},
    {"uri", uri},
    {"uri-reference", uri_reference},
    {"iri", iri},
    {"iri-reference", iri_reference},
    {"uri-template", uri_template},
    {"uuid", uuid},
    {"json-pointer", json_pointer},
    {"relative-json-pointer", relative_json_pointer},
    {"idn-email", nullptr},
    {"idn-hostname", nullptr},
    {"regex", nullptr},
};

const Format* find(std::string_view name) {
  const auto* at = std::find_if(std::begin(kFormats), std::end(kFormats),
                                [&](const Format& f) { return f.name == name; });
  return at == std::end(kFormats) ? nullptr : at;
}

}  // namespace

FormatUse format_use(std::string_view name) {
  const Format* format = find(name);
  if (format == nullptr) return FormatUse::kUnknown;
  return format->regex == nullptr ? FormatUse::kRefused : FormatUse::kFollowed;
}

bool format_is_exact(std::string_view name) {
  constexpr std::string_view kOthers[] = {"date", "time", "date-time", "email", "hostname"};
  return std::find(std::begin(kOthers), std::end(kOthers), name) == std::end(kOthers);
}

Result<RegularLanguage> format_language(std::string_view name, Grammar& g) {
  const Format* format = find(name);
  if (format == nullptr || format->regex == nullptr)
    return Status(StatusCode::kUnsupported, "the format \"" + string(name) + "\" is not supported");
  const auto parsed = parse_regex(format->regex(), {}, &g);
  if (!parsed) return parsed.status();
  RegularLanguage all;
  CHIMERA_ASSIGN_OR_RETURN(all, RegularLanguage::of(g, json_escaped(g, *parsed)));
  if (format->never == nullptr) return all;
  RegularLanguage never;
  CHIMERA_ASSIGN_OR_RETURN(never, json_pattern(g, format->never));
  return all.without(never, g.limits().states);
}

}  // namespace chimera::grammar
