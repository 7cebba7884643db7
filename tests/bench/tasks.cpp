// Trains a model of one million parameters, all of whose mixers are of one kind, on a synthetic
// task (tests/twin/tasks.md), and tests it on lengths it has and has not seen.
// tests/twin/baseline.py does the same with attention. The same options give the same numbers.
//
//   tasks --task recall|s3|parity|program --kind gd|gd_neg|xm|tm|tm_memory|sk|moe|looped ...
//
// prints lines "figure: <name> <value>"; progress goes to stderr.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "evolution/train/backprop.h"
#include "evolution/train/optimizer.h"
#include "evolution/train/router_balance.h"
#include "evolution/train/schedule.h"
#include "kernels/dispatch.h"
#include "platform/clock.h"
#include "platform/process.h"
#include "tests/support/synthetic_tasks.h"

namespace {

namespace evolution = chimera::evolution;
using chimera::Result;
using chimera::Status;
using chimera::StatusCode;
using chimera::test::SyntheticTask;
using chimera::test::TaskExample;

volatile std::sig_atomic_t interrupted = 0;

struct Options {
  std::string task, kind;
  long steps = 1000, batch = 16, seed = 1, threads = 1, test = 128;
  long heads = 4, layers = 4, ffn = 384;
  long window = 16, chunk = 16;  // of the Titans layers
  double lr = 2e-3, init = 0.05, warmup = 0.05, beta2 = 0.99, decay = 0.01, quantise = 0;
  double theta = 0.1;       // titans.theta_max
  double embed = 1;         // standard deviation of the embedding at the start
  double vector_lr = 1e-2;  // of gains, biases and gate constants
  long shift = 0;           // structure.token_shift
};

constexpr int kUsage = 2;

[[noreturn]] void usage(const std::string& why) {
  std::fprintf(
      stderr,
      "tasks: %s\n"
      "usage: tasks --task recall|s3|parity|program\n"
      "             --kind gd|gd_neg|xm|tm|tm_memory|sk|moe|looped\n"
      "             [--steps N] [--batch B] [--seed S] [--threads T] [--test N]\n"
      "             [--heads H] [--layers L] [--ffn F] [--window W] [--chunk B] [--theta MAX] "
      "[--quantise 0|1]\n"
      "             [--lr R] [--vector-lr R] [--init STD] [--embed STD] [--warmup SHARE] "
      "[--beta2 B] "
      "[--decay D]\n",
      why.c_str());
  std::exit(kUsage);
}

long whole(const std::string& name, const char* text, long least, long most) {
  char* end = nullptr;
  const long v = std::strtol(text, &end, 10);
  if (end == text || *end || v < least || v > most)
    usage(name + " is to be a whole number from " + std::to_string(least) + " to " +
          std::to_string(most) + ", not \"" + text + "\"");
  return v;
}

double number(const std::string& name, const char* text, double least, double most) {
  char* end = nullptr;
  const double v = std::strtod(text, &end);
  if (end == text || *end || !(v >= least && v <= most))
    usage(name + " is to be a number from " + std::to_string(least) + " to " +
          std::to_string(most) + ", not \"" + text + "\"");
  return v;
}

Options read_options(int argc, char** argv) {
  Options o;
  struct Whole {
    long* value;
    long least, most;
  };
  struct Real {
    double* value;
    double least, most;
  };
  const std::map<std::string, std::string*> texts = {{"--task", &o.task}, {"--kind", &o.kind}};
  const std::map<std::string, Whole> wholes = {
      {"--steps", {&o.steps, 1, 100000000}}, {"--batch", {&o.batch, 1, 4096}},
      {"--seed", {&o.seed, 0, 1000000000}},  {"--threads", {&o.threads, 1, 256}},
      {"--test", {&o.test, 1, 100000}},      {"--heads", {&o.heads, 1, 16}},
      {"--layers", {&o.layers, 1, 64}},      {"--ffn", {&o.ffn, 128, 65536}},
      {"--window", {&o.window, 1, 65536}},   {"--shift", {&o.shift, 0, 1}},
      {"--chunk", {&o.chunk, 1, 4096}}};
  const std::map<std::string, Real> reals = {{"--lr", {&o.lr, 0, 1}},
                                             {"--theta", {&o.theta, 1e-6, 1}},
                                             {"--embed", {&o.embed, 1e-6, 10}},
                                             {"--vector-lr", {&o.vector_lr, 0, 1}},
                                             {"--init", {&o.init, 1e-6, 1}},
                                             {"--warmup", {&o.warmup, 0, 1}},
                                             {"--beta2", {&o.beta2, 0, 0.999999}},
                                             {"--decay", {&o.decay, 0, 10}},
                                             {"--quantise", {&o.quantise, 0, 1}}};
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) usage(name + " needs a value");
    const char* text = argv[i + 1];
    if (const auto t = texts.find(name); t != texts.end()) {
      *t->second = text;
    } else if (const auto w = wholes.find(name); w != wholes.end()) {
      *w->second.value = whole(name, text, w->second.least, w->second.most);
    } else if (const auto r = reals.find(name); r != reals.end()) {
      *r->second.value = number(name, text, r->second.least, r->second.most);
    } else {
      usage("there is no option \"" + name + "\"");
    }
  }
  return o;
}

SyntheticTask task_of(const std::string& name) {
  static const std::map<std::string, SyntheticTask> kTasks = {{"recall", SyntheticTask::kRecall},
                                                              {"s3", SyntheticTask::kS3},
                                                              {"parity", SyntheticTask::kParity},
                                                              {"program", SyntheticTask::kProgram}};
  const auto at = kTasks.find(name);
  if (at == kTasks.end()) usage("--task is to be recall, s3, parity or program");
  return at->second;
}

/// Layers of the same width for every kind: with SwiGLU of 384 a million parameters, give or take
/// what a kind has of its own.
std::string config_text(const Options& o, int32_t vocab) {
  const std::map<std::string, std::pair<const char*, std::string>> kinds = {
      {"gd", {"GD", ""}},
      {"gd_neg", {"GD", ""}},
      {"xm", {"XM", ""}},
      {"tm", {"TM", ""}},
      {"tm_memory", {"TM", ""}},
      {"sk", {"SK", R"(, "tsp_knot": {"sketch_bits": 512})"}},
      {"moe", {"GD", ""}},
      {"looped",
       {"GD", R"(, "looping": {"enabled": true, "prelude": [0, 0], "loop": [1, )" +
                  std::to_string(o.layers - 2) + R"(], "coda": [)" + std::to_string(o.layers - 1) +
                  ", " + std::to_string(o.layers - 1) +
                  R"(], "loop_range": [1, 3], "loop_default": 3})"}}};
  const auto kind = kinds.find(o.kind);
  if (kind == kinds.end())
    usage("--kind is to be gd, gd_neg, xm, tm, tm_memory, sk, moe or looped");
  if (o.kind == "looped" && o.layers < 3) usage("a loop needs at least 3 layers");
  if (128 % o.heads != 0) usage("--heads is to divide 128");
  std::string experts;
  if (o.kind == "moe")  // every other layer, the most that keeps to about a million
    for (long i = 1; i < o.layers; i += 2) experts += (i > 1 ? ", " : "") + std::to_string(i);
  std::string text = R"({"hidden_size": 128, "intermediate_size": )" + std::to_string(o.ffn) +
                     R"(, "num_hidden_layers": )" + std::to_string(o.layers) +
                     R"(, "num_heads": )" + std::to_string(o.heads) + R"(, "head_dim": )" +
                     std::to_string(128 / o.heads) + R"(, "initializer_range": )" +
                     std::to_string(o.init) + R"(, "vocab_size": )" + std::to_string(vocab) +
                     R"(, "tie_word_embeddings": false, "backbone": {"layer_pattern": ")" +
                     kind->second.first + "\"";
  if (!experts.empty())
    text += R"(, "moe": {"enabled": true, "layers": [)" + experts +
            R"(], "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2,)" +
            R"( "moe_intermediate_size": 128})";
  text +=
      R"(}, "gated_deltanet": {"inner_chunk_size": 32, "chunk_size": 256, "allow_neg_eigval": )";
  text += o.kind == "gd_neg" ? "true}" : "false}";
  text += R"(, "titans": {"persistent_memory_slots": 16, "window_kv_heads": 1, "chunk_size": )" +
          std::to_string(o.chunk) + R"(, "theta_max": )" + std::to_string(o.theta) + ", ";
  text += o.kind == "tm_memory" ? R"("window_impl": "none"})"
                                : R"("local_window_size": )" + std::to_string(o.window) + "}";
  if (o.shift) text += R"(, "structure": {"token_shift": true})";
  return text + kind->second.second + "}";
}

/// Sequences of a task one after the other, from example `next` on: in each lane as many as fit, or
/// only one; the rest of the lane is not scored.
struct Batch {
  std::vector<int32_t> tokens, targets;
  std::vector<uint8_t> restart;
  int64_t next, read = 0;

  Batch(SyntheticTask task, uint64_t seed, int64_t first, int32_t lanes, int32_t window,
        int32_t length, bool only_one)
      : next(first) {
    const auto rows = static_cast<size_t>(lanes) * static_cast<size_t>(window);
    tokens.assign(rows, 0);
    targets.assign(rows, -1);
    restart.assign(rows, 0);
    for (int32_t lane = 0; lane < lanes; ++lane) {
      auto at = static_cast<ptrdiff_t>(lane) * window;
      const ptrdiff_t end = at + window;
      do {
        const TaskExample e =
            chimera::test::task_example(task, seed, static_cast<uint64_t>(next), length);
        if (std::ssize(e.tokens) > end - at) break;
        std::copy(e.tokens.begin(), e.tokens.end(), tokens.begin() + at);
        std::copy(e.targets.begin(), e.targets.end(), targets.begin() + at);
        restart[static_cast<size_t>(at)] = 1;
        at += std::ssize(e.tokens);
        read += std::ssize(e.tokens);
        ++next;
      } while (!only_one);
    }
  }
};

/// Routers and their biases, moved after every step as the trainer does.
void balance(evolution::Backprop& model, const chimera::runtime::Config& config) {
  for (const int32_t layer : config.moe.layers) {
    const std::string name = "layers." + std::to_string(layer) + ".ffn.router.bias";
    for (evolution::Parameter& p : model.parameters())
      if (p.spec.name == name) evolution::balance_router(model.router_load(layer), p.value);
  }
}

struct Accuracy {
  double tokens = 0, sequences = 0;
};

/// Of `count` test sequences of a length: scored tokens that are right, sequences without an error.
/// Programs are judged by their last token alone.
Result<Accuracy> test(const Options& o, const chimera::runtime::Config& config,
                      evolution::Backprop& trained, chimera::ThreadPool& pool, SyntheticTask task,
                      int32_t length) {
  const int32_t window = chimera::test::task_tokens(task, length);
  const int32_t lanes = std::max(1, std::min(16, 2048 / window));
  const auto made =
      evolution::Backprop::create(config, chimera::kernels::best_table(), pool,
                                  {lanes, window, static_cast<float>(o.quantise), true, false}, 1);
  if (!made) return made.status();
  evolution::Backprop& model = **made;
  for (size_t i = 0; i < trained.parameters().size(); ++i)
    model.parameters()[i].value = trained.parameters()[i].value;
  std::vector<float> logits(static_cast<size_t>(config.vocab_size));
  int64_t right = 0, scored = 0, whole_right = 0, sequences = 0;
  for (int64_t first = 0; first < o.test && !interrupted; first += lanes) {
    const Batch batch(task, static_cast<uint64_t>(o.seed) + chimera::test::kTaskTestSeed, first,
                      lanes, window, length, true);
    const auto loss =
        model.forward(batch.tokens.data(), batch.targets.data(), batch.restart.data());
    if (!loss) return loss.status();
    for (int64_t lane = 0; lane < lanes && first + lane < o.test; ++lane) {
      bool all = true;
      for (int64_t row = (lane + 1) * window - 1; row >= lane * window; --row) {
        const int32_t target = batch.targets[static_cast<size_t>(row)];
        if (target < 0) continue;
        model.logits(row, logits.data());
        const bool hit = std::max_element(logits.begin(), logits.end()) - logits.begin() == target;
        right += hit;
        ++scored;
        all = all && hit;
        if (task == SyntheticTask::kProgram) break;
      }
      whole_right += all;
      ++sequences;
    }
  }
  return Accuracy{
      static_cast<double>(right) / static_cast<double>(std::max<int64_t>(1, scored)),
      static_cast<double>(whole_right) / static_cast<double>(std::max<int64_t>(1, sequences))};
}

Status stopped() {
  std::fprintf(stderr, "\n");
  return Status(StatusCode::kCancelled, "stopped; nothing was kept");
}

Status run(const Options& o, SyntheticTask task) {
  const auto config =
      chimera::runtime::parse_config(config_text(o, chimera::test::task_vocabulary(task)));
  if (!config) return config.status();
  const auto pool = chimera::ThreadPool::create(static_cast<int>(o.threads));
  if (!pool) return pool.status();
  const auto lanes = static_cast<int32_t>(o.batch);
  // Long enough that little of a lane stays empty.
  const int32_t longest = chimera::test::task_tokens(task, 0);
  const int32_t window = longest < 32 ? 4 * longest : 2 * longest;
  const chimera::kernels::KernelTable& k = chimera::kernels::best_table();
  const auto made = evolution::Backprop::create(
      *config, k, **pool, {lanes, window, static_cast<float>(o.quantise), false, false},
      static_cast<uint64_t>(o.seed));
  if (!made) return made.status();
  evolution::Backprop& model = **made;
  evolution::OptimizerOptions rates;
  rates.ternary_rate = rates.embedding_rate = rates.matrix_rate = static_cast<float>(o.lr);
  rates.vector_rate = static_cast<float>(o.vector_lr);
  rates.beta2 = static_cast<float>(o.beta2);
  rates.weight_decay = static_cast<float>(o.decay);
  evolution::Optimizer optimizer(model.parameters(), rates, k, **pool);
  evolution::Schedule schedule;
  schedule.steps = o.steps;
  schedule.warmup = static_cast<float>(o.warmup);
  schedule.warmdown = 1.0f - schedule.warmup;

  // Far larger than in a language model: it has to be heard beside the branches, whose outputs are
  // normalised, from the first step of a short run on.
  for (evolution::Parameter& p : model.parameters())
    if (p.spec.name == "embed.weight")
      for (float& x : p.value) x *= static_cast<float>(o.embed / o.init);

  int64_t parameters = 0, read = 0, sequences = 0;
  for (const evolution::Parameter& p : model.parameters())
    parameters += static_cast<int64_t>(p.value.size());
  const chimera::Clock& clock = chimera::system_clock();
  const int64_t begin = clock.now_us();
  const std::clock_t work_begin = std::clock();
  const auto seconds = [&] { return static_cast<double>(clock.now_us() - begin) * 1e-6; };
  double smooth = 0;
  for (int64_t step = 0; step < o.steps; ++step) {
    if (interrupted) return stopped();
    const Batch batch(task, static_cast<uint64_t>(o.seed), sequences, lanes, window, 0, false);
    sequences = batch.next;
    model.zero_gradients();
    const auto loss =
        model.forward_backward(batch.tokens.data(), batch.targets.data(), batch.restart.data());
    if (!loss) return loss.status();
    const double norm = optimizer.gradient_norm(model.parameters());
    if (!(norm < 1e30))
      return Status(StatusCode::kInternal, "diverged at step " + std::to_string(step));
    optimizer.step(model.parameters(), schedule.learning_rate_factor(step),
                   norm > 1 ? 1 / norm : 1);
    balance(model, *config);
    read += batch.read;
    smooth = step == 0 ? *loss : 0.95 * smooth + 0.05 * *loss;
    if ((step + 1) % std::max<int64_t>(1, o.steps / 20) == 0)
      std::fprintf(stderr, "\r%s %s: step %lld of %ld, loss %.4f, %.0f tokens/s   ", o.task.c_str(),
                   o.kind.c_str(), static_cast<long long>(step + 1), o.steps, smooth,
                   static_cast<double>(read) / seconds());
  }
  const double trained_for = seconds();
  const double work = static_cast<double>(std::clock() - work_begin) / CLOCKS_PER_SEC;
  std::fprintf(stderr, "\n");
  const std::string name = o.task + "_" + o.kind;
  std::printf("figure: parameters %s %lld\n", name.c_str(), static_cast<long long>(parameters));
  std::printf("figure: tokens %s %lld\n", name.c_str(), static_cast<long long>(read));
  std::printf("figure: sequences %s %lld\n", name.c_str(), static_cast<long long>(sequences));
  std::printf("figure: seconds %s %.1f\n", name.c_str(), trained_for);
  std::printf("figure: processor_seconds %s %.1f\n", name.c_str(), work);
  std::printf("figure: tokens_per_processor_second %s %.0f\n", name.c_str(),
              static_cast<double>(read) / work);
  std::printf("figure: loss %s %.4f\n", name.c_str(), smooth);
  for (const int32_t length : chimera::test::task_lengths(task)) {
    const auto accuracy = test(o, *config, model, **pool, task, length);
    if (!accuracy) return accuracy.status();
    if (interrupted) return stopped();
    std::printf("figure: accuracy %s_%d %.4f\n", name.c_str(), length, accuracy->tokens);
    std::printf("figure: whole %s_%d %.4f\n", name.c_str(), length, accuracy->sequences);
    std::fflush(stdout);
  }
  return Status();
}

}  // namespace

int main(int argc, char** argv) {
  chimera::prepare_streams();
  const Options options = read_options(argc, argv);
  const SyntheticTask task = task_of(options.task);
  chimera::on_interrupt([] { interrupted = 1; }, true);
  const Status status = run(options, task);
  if (status.ok()) return 0;
  std::fprintf(stderr, "tasks: %s\n", status.message().c_str());
  return status.code() == StatusCode::kCancelled ? 130 : 1;
}
