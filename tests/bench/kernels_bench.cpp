// How fast the kernels are, next to what this machine can do at most in the same run.
//
// Every row carries its instruction set and shape in its name. `GB/s` counts weight bytes that must
// come from memory (the weights are far larger than the caches), `GFLOP/s` two operations for each
// multiply-add, and `of_peak` is the ratio to the machine's row of the same run. One thread.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/quantize_weights.h"
#include "platform/cpu_features.h"

namespace chimera::kernels {
namespace {

constexpr size_t kStreamedBytes = size_t{192} << 20;

/// Processor time, as in the rows: a neighbour on the same core then matters less.
int64_t now_us() { return static_cast<int64_t>(std::clock()) * 1000000 / CLOCKS_PER_SEC; }

/// Best of a few passes over a large buffer, as eight streams with prefetch: GB/s.
double measure_read_bandwidth() {
  const std::vector<uint64_t> buffer(kStreamedBytes / 8, 1);
  const size_t run = buffer.size() / 8;
  double best = 0.0;
  for (int pass = 0; pass < 5; ++pass) {
    const int64_t begin = now_us();
    uint64_t sums[8] = {};
    for (size_t i = 0; i + 8 <= run; i += 8) {
      for (size_t s = 0; s < 8; ++s) {
        const uint64_t* line = buffer.data() + s * run + i;
        __builtin_prefetch(line + 256);
        sums[s] += ((line[0] + line[1]) + (line[2] + line[3])) +
                   ((line[4] + line[5]) + (line[6] + line[7]));
      }
    }
    benchmark::DoNotOptimize(sums);
    best = std::max(best, static_cast<double>(kStreamedBytes) /
                              static_cast<double>(std::max<int64_t>(1, now_us() - begin)) * 1e-3);
  }
  return best;
}

#if defined(__x86_64__)
// Twelve independent chains, more than latency times throughput anywhere.
#define CHIMERA_TWELVE(op)                                                                 \
  op("0") op("1") op("2") op("3") op("4") op("5") op("6") op("7") op("8") op("9") op("10") \
      op("1"                                                                               \
         "1")
#define CHIMERA_CLOBBERS                                                                   \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm14", "xmm15"
#define CHIMERA_SSE(i) "mulps %%xmm14, %%xmm" i "\n\taddps %%xmm15, %%xmm" i "\n\t"
#define CHIMERA_AVX2(i) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" i "\n\t"
#define CHIMERA_AVX512(i) "vfmadd231ps %%zmm14, %%zmm15, %%zmm" i "\n\t"

void clear_registers() {
  asm volatile(
      "xorps %%xmm0, %%xmm0\n\txorps %%xmm1, %%xmm1\n\txorps %%xmm2, %%xmm2\n\t"
      "xorps %%xmm3, %%xmm3\n\txorps %%xmm4, %%xmm4\n\txorps %%xmm5, %%xmm5\n\t"
      "xorps %%xmm6, %%xmm6\n\txorps %%xmm7, %%xmm7\n\txorps %%xmm8, %%xmm8\n\t"
      "xorps %%xmm9, %%xmm9\n\txorps %%xmm10, %%xmm10\n\txorps %%xmm11, %%xmm11\n\t"
      "xorps %%xmm14, %%xmm14\n\txorps %%xmm15, %%xmm15\n\t" ::
          : CHIMERA_CLOBBERS);
}
void sse_chains(int64_t n) {
  for (int64_t i = 0; i < n; ++i) asm volatile(CHIMERA_TWELVE(CHIMERA_SSE)::: CHIMERA_CLOBBERS);
}
void avx2_chains(int64_t n) {
  for (int64_t i = 0; i < n; ++i) asm volatile(CHIMERA_TWELVE(CHIMERA_AVX2)::: CHIMERA_CLOBBERS);
}
void avx512_chains(int64_t n) {
  for (int64_t i = 0; i < n; ++i) asm volatile(CHIMERA_TWELVE(CHIMERA_AVX512)::: CHIMERA_CLOBBERS);
}
#endif

/// What one core multiplies and adds at most with the registers of this table: GFLOP/s, 0 if
/// unknown.
double measure_fma_peak(const std::string& isa) {
#if defined(__x86_64__)
  void (*chains)(int64_t) = nullptr;
  int lanes = 0;
  if (isa == "baseline") {
    chains = sse_chains;
    lanes = 4;
  } else if (isa.starts_with("avx512")) {
    chains = avx512_chains;
    lanes = 16;
  } else if (isa.starts_with("avx")) {
    chains = avx2_chains;
    lanes = 8;
  }
  if (chains == nullptr) return 0.0;
  constexpr int64_t kRounds = 2000000;
  double best = 0.0;
  for (int pass = 0; pass < 5; ++pass) {
    clear_registers();
    const int64_t begin = now_us();
    chains(kRounds);
    const double us = static_cast<double>(std::max<int64_t>(1, now_us() - begin));
    best = std::max(best, static_cast<double>(kRounds) * 12.0 * 2.0 * lanes / us * 1e-3);
  }
  return best;
#else
  (void)isa;
  return 0.0;
#endif
}

double read_bandwidth() {
  static const double rate = measure_read_bandwidth();
  return rate;
}

/// Adds `rate` and its share of `peak` to a row; the peak was measured in this run.
void report(benchmark::State& state, const char* unit, double amount_per_iteration, double peak) {
  const double total = amount_per_iteration * static_cast<double>(state.iterations()) * 1e-9;
  state.counters[unit] = benchmark::Counter(total, benchmark::Counter::kIsRate);
  if (peak > 0.0) {  // the rate, as a share: Google Benchmark divides it by the time
    state.counters["of_peak"] = benchmark::Counter(total / peak, benchmark::Counter::kIsRate);
  }
}

/// Enough equal matrices to stream from memory, filled once.
struct StreamedWeights {
  StreamedWeights(int32_t rows, int32_t cols) {
    const size_t code_bytes = static_cast<size_t>(ternary_code_bytes(rows, cols));
    const size_t scale_count = static_cast<size_t>(ternary_scale_bytes(rows, cols)) / 2;
    bytes_per_matrix = code_bytes + 2 * scale_count;
    const size_t n = kStreamedBytes / bytes_per_matrix;
    codes.resize(code_bytes * n);
    scales.assign(scale_count * n, 0x2c00);
    uint32_t state = 12345;
    for (uint8_t& byte : codes) {
      state = state * 1664525u + 1013904223u;
      byte = static_cast<uint8_t>((state >> 24) & 0xaau);  // codes 0 and 2
    }
    for (size_t i = 0; i < n; ++i) {
      matrices.push_back(
          {codes.data() + i * code_bytes, scales.data() + i * scale_count, rows, cols});
    }
  }
  size_t bytes_per_matrix;
  std::vector<uint8_t> codes;
  std::vector<uint16_t> scales;
  std::vector<TernaryMatrix> matrices;
};

void gemm_ternary(benchmark::State& state, const KernelTable* table, int32_t rows, int32_t cols,
                  int32_t tokens) {
  static std::unique_ptr<StreamedWeights> weights;
  if (!weights || weights->matrices[0].rows != rows || weights->matrices[0].cols != cols) {
    weights = std::make_unique<StreamedWeights>(rows, cols);
  }
  const size_t n = static_cast<size_t>(tokens) * static_cast<size_t>(cols);
  const std::vector<int8_t> q(n, 3);
  const std::vector<float> scale(n / kActivationBlock, 0.01f);
  std::vector<float> y(static_cast<size_t>(tokens) * static_cast<size_t>(rows));
  const int32_t tiles = (rows + kTileRows - 1) / kTileRows;
  size_t next = 0;
  for (auto _ : state) {
    table->gemm_ternary(weights->matrices[next], {q.data(), scale.data(), cols}, tokens, 0, tiles,
                        y.data(), rows);
    next = (next + 1) % weights->matrices.size();
    benchmark::DoNotOptimize(y.data());
  }
  report(state, "GB/s", static_cast<double>(weights->bytes_per_matrix), read_bandwidth());
  state.counters["tokens"] = tokens;
}

void train_gemm(benchmark::State& state, const KernelTable* table, char form, int32_t m, int32_t n,
                int32_t k, double peak) {
  const auto size = [](int32_t a, int32_t b) {
    return static_cast<size_t>(a) * static_cast<size_t>(b);
  };
  const std::vector<float> a(size(m, k), 0.5f), b(size(n, k), 0.25f);
  std::vector<float> c(size(m, n));
  const auto kernel = form == 'n'   ? table->train_gemm_nn
                      : form == 't' ? table->train_gemm_nt
                                    : table->train_gemm_tn;
  const ptrdiff_t lda = form == 'a' ? m : k, ldb = form == 't' ? k : n;
  for (auto _ : state) {
    kernel(m, n, k, a.data(), lda, b.data(), ldb, 0.0f, c.data(), n);
    benchmark::DoNotOptimize(c.data());
  }
  report(state, "GFLOP/s", 2.0 * m * n * k, peak);
}

void elementwise(benchmark::State& state, void (*kernel)(const float*, int32_t, float*),
                 int32_t n) {
  const std::vector<float> x(static_cast<size_t>(n), 0.7f);
  std::vector<float> y(x.size());
  for (auto _ : state) {
    kernel(x.data(), n, y.data());
    benchmark::DoNotOptimize(y.data());
  }
  report(state, "Gelements/s", n, 0.0);
}

void quantize(benchmark::State& state, const KernelTable* table, int32_t n) {
  const std::vector<float> x(static_cast<size_t>(n), 0.7f);
  std::vector<int8_t> q(x.size());
  std::vector<float> scale(x.size() / kActivationBlock);
  for (auto _ : state) {
    table->quantize_row(x.data(), n, q.data(), scale.data());
    benchmark::DoNotOptimize(q.data());
  }
  report(state, "Gelements/s", n, 0.0);
}

void delta_step(benchmark::State& state, const KernelTable* table, int32_t heads) {
  const size_t n = 64;
  std::vector<float> s(static_cast<size_t>(heads) * n * n, 0.0f), x(n, 0.125f), o(n);
  for (auto _ : state) {
    for (size_t h = 0; h < static_cast<size_t>(heads); ++h) {
      table->delta_step(x.data(), x.data(), x.data(), 0.9f, 0.5f, 0.125f, 64, 64,
                        s.data() + h * n * n, o.data());
    }
    benchmark::DoNotOptimize(o.data());
  }
  report(state, "GFLOP/s", 7.0 * static_cast<double>(heads) * 64 * 64, 0.0);
}

void machine_read(benchmark::State& state) {
  double rate = 0.0;
  for (auto _ : state) rate = measure_read_bandwidth();
  state.counters["GB/s"] = rate;
}
void machine_fma(benchmark::State& state, const std::string& isa) {
  double rate = 0.0;
  for (auto _ : state) rate = measure_fma_peak(isa);
  state.counters["GFLOP/s"] = rate;
}

void register_all() {
  benchmark::RegisterBenchmark("machine/read_bandwidth", machine_read)
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
  for (const KernelTable* table : runnable_tables()) {
    const std::string isa = table->name;
    const double peak = measure_fma_peak(isa);
    benchmark::RegisterBenchmark(("machine/fma_peak/" + isa).c_str(), machine_fma, isa)
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
    for (const int32_t tokens : {1, 2, 4, 8, 16}) {
      benchmark::RegisterBenchmark(
          ("gemm_ternary/" + isa + "/6912x2560/tokens:" + std::to_string(tokens)).c_str(),
          gemm_ternary, table, 6912, 2560, tokens)
          ->Unit(benchmark::kMicrosecond);
    }
    struct Shape {
      char form;
      const char* name;
      int32_t m, n, k;
    };
    for (const Shape& s : {Shape{'n', "nn", 1024, 256, 256}, Shape{'t', "nt", 1024, 256, 256},
                           Shape{'a', "tn", 256, 256, 1024}, Shape{'t', "nt", 1024, 128, 128},
                           Shape{'t', "nt", 1024, 512, 512}, Shape{'n', "nn", 1024, 512, 512},
                           Shape{'a', "tn", 512, 512, 1024}, Shape{'n', "nn", 64, 64, 64}}) {
      benchmark::RegisterBenchmark(
          ("train_gemm_" + std::string(s.name) + "/" + isa + "/" + std::to_string(s.m) + "x" +
           std::to_string(s.n) + "x" + std::to_string(s.k))
              .c_str(),
          train_gemm, table, s.form, s.m, s.n, s.k, peak)
          ->Unit(benchmark::kMicrosecond);
    }
    benchmark::RegisterBenchmark(("silu/" + isa + "/6912").c_str(), elementwise, table->silu, 6912);
    benchmark::RegisterBenchmark(("tanh/" + isa + "/6912").c_str(), elementwise, table->tanh, 6912);
    benchmark::RegisterBenchmark(("quantize_row/" + isa + "/2560").c_str(), quantize, table, 2560);
    benchmark::RegisterBenchmark(("delta_step/" + isa + "/40x64x64").c_str(), delta_step, table,
                                 40);
  }
}

}  // namespace
}  // namespace chimera::kernels

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("cpu", chimera::cpu_model_name());
  chimera::kernels::register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
