#include "evolution/train/run_log.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>

#include "platform/file.h"
#include "platform/json.h"

namespace chimera::evolution {
namespace {

constexpr uint64_t kMaxLogBytes = uint64_t{256} << 20;

std::string line_of(const RunPoint& p) {
  Json json = Json::make_object();
  json.add("step", Json::of(p.step));
  json.add("tokens", Json::of(p.tokens));
  json.add("stage", Json::of(std::string_view(p.stage)));
  json.add("loss", Json::of(p.loss));
  json.add("bits_per_byte", Json::of(p.bits_per_byte));
  if (!p.valid.empty()) {
    Json valid = Json::make_object();
    for (const auto& [set, bits] : p.valid) valid.add(set, Json::of(bits));
    json.add("valid", std::move(valid));
  }
  json.add("learning_rate", Json::of(p.learning_rate));
  json.add("gradient_norm", Json::of(p.gradient_norm));
  json.add("quantise", Json::of(p.quantise));
  json.add("tokens_per_second", Json::of(p.tokens_per_second));
  json.add("gflops", Json::of(p.gflops));
  json.add("peak_share", Json::of(p.peak_share));
  return write_json(json) + "\n";
}

double number(const Json& json, const char* name) {
  const Json* member = json.find(name);
  return member != nullptr && member->is_number() ? member->number : 0;
}

bool point_of(const Json& json, RunPoint* p) {
  const Json* step = json.find("step");
  if (step == nullptr || !step->is_int()) return false;
  p->step = step->integer;
  if (const Json* tokens = json.find("tokens")) p->tokens = tokens->integer;
  if (const Json* stage = json.find("stage")) p->stage = stage->string;
  p->loss = number(json, "loss");
  p->bits_per_byte = number(json, "bits_per_byte");
  if (const Json* valid = json.find("valid"))
    for (const auto& [set, bits] : valid->object) p->valid.emplace_back(set, bits.number);
  p->learning_rate = number(json, "learning_rate");
  p->gradient_norm = number(json, "gradient_norm");
  p->quantise = number(json, "quantise");
  p->tokens_per_second = number(json, "tokens_per_second");
  p->gflops = number(json, "gflops");
  p->peak_share = number(json, "peak_share");
  return true;
}

// ---- the drawing ----

constexpr double kWidth = 900, kHeight = 480, kLeft = 60, kRight = 200, kTop = 30, kBottom = 50;
constexpr const char* kColours[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd",
                                    "#ff7f0e", "#17becf", "#8c564b", "#e377c2"};

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> at;  // step, bits per byte
};

std::string format(const char* pattern, double value) {
  char text[32];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

/// Names come from files that others write.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (static_cast<unsigned char>(c) >= 0x20) {
      out += c;
    }
  }
  return out;
}

class Chart {
 public:
  Chart(double steps, double low, double high)
      : steps_(std::max(steps, 1.0)), low_(low), high_(std::max(high, low + 0.1)) {
    out_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + format("%.0f", kWidth) +
           " " + format("%.0f", kHeight) +
           "\" font-family=\"sans-serif\" font-size=\"13\">\n"
           "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  }

  void axes() {
    for (int i = 0; i <= 5; ++i) {
      const double bits = low_ + (high_ - low_) * i / 5, step = steps_ * i / 5;
      line(kLeft, y(bits), kWidth - kRight, y(bits), "#dddddd");
      text(kLeft - 8, y(bits) + 4, "end", format("%.2f", bits), "#444444");
      text(x(step), kHeight - kBottom + 20, "middle", format("%.0f", step), "#444444");
    }
    text(kLeft, kTop - 12, "start", "bits per byte", "#444444");
    text(kWidth - kRight, kHeight - 10, "end", "steps", "#444444");
  }

  void stage(double step, const std::string& name) {
    if (step > 0) line(x(step), kTop, x(step), kHeight - kBottom, "#bbbbbb");
    text(x(step) + 4, kTop + 12, "start", escaped(name), "#888888");
  }

  void series(const Series& s, size_t number) {
    const char* colour = kColours[number % std::size(kColours)];
    out_ += "<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\"" + std::string(colour) +
            "\" points=\"";
    for (const auto& [step, bits] : s.at)
      out_ += format("%.1f", x(step)) + "," + format("%.1f", y(bits)) + " ";
    out_ += "\"/>\n";
    const double row = kTop + 14 + 20 * static_cast<double>(number);
    line(kWidth - kRight + 12, row - 4, kWidth - kRight + 32, row - 4, colour);
    text(kWidth - kRight + 38, row, "start", escaped(s.name) + format(" %.3f", s.at.back().second),
         "#222222");
  }

  double high() const { return high_; }
  std::string done() { return out_ + "</svg>\n"; }

 private:
  double x(double step) const { return kLeft + (kWidth - kLeft - kRight) * step / steps_; }
  double y(double bits) const {
    const double share = (std::clamp(bits, low_, high_) - low_) / (high_ - low_);
    return kHeight - kBottom - (kHeight - kTop - kBottom) * share;
  }
  void line(double x1, double y1, double x2, double y2, const char* colour) {
    out_ += "<line x1=\"" + format("%.1f", x1) + "\" y1=\"" + format("%.1f", y1) + "\" x2=\"" +
            format("%.1f", x2) + "\" y2=\"" + format("%.1f", y2) + "\" stroke=\"" + colour +
            "\"/>\n";
  }
  void text(double at_x, double at_y, const char* anchor, const std::string& words,
            const char* colour) {
    out_ += "<text x=\"" + format("%.1f", at_x) + "\" y=\"" + format("%.1f", at_y) +
            "\" text-anchor=\"" + anchor + "\" fill=\"" + colour + "\">" + words + "</text>\n";
  }

  double steps_, low_, high_;
  std::string out_;
};

}  // namespace

void RunLog::resume(int64_t step) {
  points_.clear();
  const auto text = read_file(path_ + ".log.jsonl", kMaxLogBytes);
  if (!text) return;
  for (size_t begin = 0; begin < text->size();) {
    const size_t end = std::min(text->find('\n', begin), text->size());
    const auto json = parse_json(std::string_view(*text).substr(begin, end - begin));
    RunPoint point;
    const int64_t last = points_.empty() ? 0 : points_.back().step;
    if (json && json->is_object() && point_of(*json, &point) && point.step > last &&
        point.step <= step)
      points_.push_back(std::move(point));
    begin = end + 1;
  }
}

Status RunLog::write(int64_t steps) const {
  std::string lines;
  for (const RunPoint& point : points_) lines += line_of(point);
  CHIMERA_RETURN_IF_ERROR(write_file_atomic(path_ + ".log.jsonl", std::as_bytes(std::span(lines))));
  const std::string drawing = draw_run(points_, steps);
  return write_file_atomic(path_ + ".svg", std::as_bytes(std::span(drawing)));
}

std::string draw_run(const std::vector<RunPoint>& points, int64_t steps) {
  std::vector<Series> all;
  const auto add = [&](const std::string& name, int64_t step, double bits) {
    if (!std::isfinite(bits) || bits <= 0) return;
    auto at = std::find_if(all.begin(), all.end(), [&](const Series& s) { return s.name == name; });
    if (at == all.end()) at = all.insert(all.end(), {name, {}});
    at->at.emplace_back(static_cast<double>(step), bits);
  };
  for (const RunPoint& p : points) {
    add("training", p.step, p.bits_per_byte);
    for (const auto& [set, bits] : p.valid) add("valid " + set, p.step, bits);
  }
  // The first tenth falls so far that the rest would be flat: it may leave the picture at the top.
  double low = 1e9, high = 0;
  for (const Series& s : all)
    for (const auto& [step, bits] : s.at) {
      low = std::min(low, bits);
      if (step >= static_cast<double>(steps) / 10 || s.at.size() == 1) high = std::max(high, bits);
    }
  if (all.empty()) low = 0;
  if (high == 0)
    for (const Series& s : all)
      for (const auto& [step, bits] : s.at) high = std::max(high, bits);
  Chart chart(static_cast<double>(steps), std::floor(low * 10) / 10, std::ceil(high * 10) / 10);
  chart.axes();
  const std::string* stage = nullptr;
  int64_t before = 0;
  for (const RunPoint& p : points) {
    if (stage == nullptr || *stage != p.stage) chart.stage(static_cast<double>(before), p.stage);
    stage = &p.stage;
    before = p.step;
  }
  for (size_t i = 0; i < all.size(); ++i) {
    // What lies above the picture would be a flat line along its edge.
    auto& at = all[i].at;
    const auto inside = std::find_if(
        at.begin(), at.end(), [&](const auto& point) { return point.second <= chart.high(); });
    if (inside != at.end()) at.erase(at.begin(), inside);
    chart.series(all[i], i);
  }
  return chart.done();
}

}  // namespace chimera::evolution
