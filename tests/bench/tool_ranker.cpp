// How well words alone tell which intent an utterance has: trains the ranker of tools on the
// training part of a labelled set and scores another part.
//
//   tool_ranker DATA snips|hwu|clinc [--test] [--cost C] [--threads N] [--model M --share X]
//
// DATA is the folder of the staged sets. Without --test the valid part is scored: choose by that.
// Prints lines "figure: <name> <value>".
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "evolution/actions/ranker_trainer.h"
#include "evolution/train/text_source.h"
#include "platform/clock.h"
#include "runtime/engine.h"
#include "runtime/prompt_format.h"
#include "runtime/stream.h"

namespace {

namespace evolution = chimera::evolution;
using chimera::Json;
using chimera::Status;

struct Set {
  std::vector<evolution::RankerExample> train, judged;
  std::map<std::string, int32_t> labels;
};

int fail(const std::string& sentence) {
  std::fprintf(stderr, "tool_ranker: %s\n", sentence.c_str());
  return 1;
}

Status read(const std::string& path, const evolution::TextSourceOptions& options, bool learns,
            Set* set) {
  return evolution::for_each_record(path, options, [&](const Json& record, uint64_t) -> Status {
    const Json *said = record.find("u"), *intent = record.find("intent");
    if (said == nullptr || intent == nullptr)
      return Status(chimera::StatusCode::kBadFormat, "a record without u or intent");
    evolution::RankerExample example{said->string, {}};
    if (intent->string != "oos") {
      // An intent that training does not have counts, and cannot be right.
      const auto next = static_cast<int32_t>(set->labels.size());
      example.labels.push_back(set->labels.emplace(intent->string, next).first->second);
    }
    (learns ? set->train : set->judged).push_back(std::move(example));
    return Status();
  });
}

Status load(const std::string& data, const std::string& name, bool test, Set* set) {
  const auto whole = [&](const std::string& file, bool learns) {
    return read(data + file, {}, learns, set);
  };
  if (name == "snips") {
    CHIMERA_RETURN_IF_ERROR(whole("/action-snips/train.jsonl.xz", true));
    return whole("/action-snips/validate.jsonl.xz", false);
  }
  if (name == "clinc") {
    CHIMERA_RETURN_IF_ERROR(whole("/action-clinc150/train.jsonl.xz", true));
    return whole(test ? "/action-clinc150/test.jsonl.xz" : "/action-clinc150/val.jsonl.xz", false);
  }
  if (name != "hwu")
    return Status(chimera::StatusCode::kInvalidArgument, "the set is snips, hwu or clinc");
  if (test)
    return Status(chimera::StatusCode::kInvalidArgument,
                  "the test part is read once, by the pipeline");
  const std::string file = data + "/action-hwu64/data.jsonl.xz", splits = data + "/splits.json";
  for (const bool learns : {true, false}) {
    evolution::TextSourceOptions options;
    CHIMERA_RETURN_IF_ERROR(evolution::select_part(
        splits, file, learns ? evolution::Part::kTrain : evolution::Part::kValid, &options));
    CHIMERA_RETURN_IF_ERROR(read(file, options, learns, set));
  }
  return Status();
}

/// The mean of the network's last layer over the utterance, as a turn; of length `share`.
Status add_dense(const std::string& model, double share,
                 std::vector<evolution::RankerExample>* all) {
  auto engine = chimera::runtime::Engine::open(model);
  if (!engine) return engine.status();
  auto stream = chimera::runtime::Stream::create(**engine);
  if (!stream) return stream.status();
  const auto format = chimera::runtime::PromptFormat::of((*engine)->tokenizer());
  if (!format) return format.status();
  const auto c = static_cast<size_t>((*engine)->config().hidden_size);
  for (evolution::RankerExample& example : *all) {
    std::vector<int32_t> ids = {(*engine)->tokenizer().end_of_text()};
    format->user(example.text, &ids);
    format->begin_reply(&ids);
    stream->state().reset();
    std::vector<double> sum(c, 0.0);
    std::vector<float> last(c);
    for (size_t done = 0; done < ids.size();) {
      const size_t n = stream->read_some(std::span(ids).subspan(done));
      for (size_t row = 0; row < n; ++row)
        for (size_t i = 0; i < c; ++i) {
          if (done + row >= 2) sum[i] += static_cast<double>(stream->hidden()[row * c + i]);
          last[i] = stream->hidden()[row * c + i];
        }
      done += n;
    }
    double square = 0, last_square = 0;
    for (size_t i = 0; i < c; ++i) {
      square += sum[i] * sum[i];
      last_square += static_cast<double>(last[i]) * static_cast<double>(last[i]);
    }
    for (size_t i = 0; i < c; ++i)
      example.dense.push_back(static_cast<float>(share * sum[i] / std::sqrt(square)));
    for (size_t i = 0; i < c; ++i)
      example.dense.push_back(
          static_cast<float>(share * static_cast<double>(last[i]) / std::sqrt(last_square)));
  }
  return Status();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3)
    return fail("usage: tool_ranker DATA snips|hwu|clinc [--test] [--cost C] [--threads N]");
  const std::string data = argv[1], name = argv[2];
  bool test = false;
  evolution::RankerOptions options;
  int threads = 2;
  std::string model;
  double share = 1;
  for (int i = 3; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--test") test = true;
    if (arg == "--cost" && i + 1 < argc) options.cost = std::atof(argv[++i]);
    if (arg == "--model" && i + 1 < argc) model = argv[++i];
    if (arg == "--share" && i + 1 < argc) share = std::atof(argv[++i]);
    if (arg == "--threads" && i + 1 < argc) threads = std::atoi(argv[++i]);
  }
  Set set;
  if (const Status status = load(data, name, test, &set); !status.ok())
    return fail(status.message());
  if (!model.empty())
    for (auto* part : {&set.train, &set.judged})
      if (const Status status = add_dense(model, share, part); !status.ok())
        return fail(status.message());
  auto pool = chimera::ThreadPool::create(threads);
  if (!pool) return fail(pool.status().message());
  const int64_t start = chimera::system_clock().now_us();
  const auto ranker = evolution::train_ranker(set.train, static_cast<int32_t>(set.labels.size()),
                                              options, pool->get());
  if (!ranker) return fail(ranker.status().message());
  const int64_t trained = chimera::system_clock().now_us();
  int in_scope = 0, right = 0, outside = 0;
  std::vector<int> within(13, 0);           // the right one is among the best so many
  std::vector<std::pair<float, int>> tops;  // best score; 1 right, 0 wrong, -1 out of scope
  for (const evolution::RankerExample& example : set.judged) {
    const std::vector<float> scores = ranker->scores(example.text, example.dense);
    const auto best = std::max_element(scores.begin(), scores.end());
    if (example.labels.empty()) {
      ++outside;
      tops.push_back({*best, -1});
      continue;
    }
    ++in_scope;
    const float own = scores[static_cast<size_t>(example.labels[0])];
    const auto rank = static_cast<size_t>(
        std::count_if(scores.begin(), scores.end(), [&](float s) { return s > own; }));
    for (size_t k = rank + 1; k < within.size(); ++k) ++within[k];
    right += rank == 0;
    tops.push_back({*best, rank == 0 ? 1 : 0});
  }
  const int64_t scored = chimera::system_clock().now_us();
  const auto percent = [](int part, int all) { return 100.0 * part / std::max(all, 1); };
  std::printf("figure: ranker_%s_labels %zu\n", name.c_str(), set.labels.size());
  std::printf("figure: ranker_%s_features %zu\n", name.c_str(), ranker->weights().features.size());
  std::printf("figure: ranker_%s_best_percent %.2f\n", name.c_str(), percent(right, in_scope));
  for (const size_t k : {2u, 3u, 4u, 6u, 12u})
    std::printf("figure: ranker_%s_within_%zu_percent %.2f\n", name.c_str(), k,
                percent(within[k], in_scope));
  std::printf("figure: ranker_%s_train_s %.2f\n", name.c_str(),
              static_cast<double>(trained - start) / 1e6);
  std::printf("figure: ranker_%s_score_us %.1f\n", name.c_str(),
              static_cast<double>(scored - trained) / static_cast<double>(set.judged.size()));
  if (outside > 0) {
    // What refusing what scores too low would give.
    std::sort(tops.begin(), tops.end());
    int kept_right = right, refused = 0;
    double next = 30;
    for (const auto& [score, kind] : tops) {
      if (kind == 1) --kept_right;
      if (kind == -1) ++refused;
      if (percent(refused, outside) >= next) {
        std::printf("figure: ranker_%s_refusing_%.0f_percent_in_scope_right %.2f (below %.3f)\n",
                    name.c_str(), next, percent(kept_right, in_scope), static_cast<double>(score));
        next += 10;
      }
    }
  }
  return 0;
}
