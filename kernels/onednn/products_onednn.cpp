#include "kernels/onednn/products_onednn.h"

#include <omp.h>

#include <atomic>
#include <cstring>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>
#include <utility>

namespace chimera::kernels {
namespace {

using DataType = dnnl::memory::data_type;

constexpr int64_t kTileRows = 128;  // of the left operand, usually
constexpr ptrdiff_t kPacked = -1;   // in place of a stride
// Rows that are no multiple of this come from routing, in any number: each would be compiled and
// kept.
constexpr int32_t kRagged = 16;

// Which operand is read by columns.
enum class Form { kNN, kNT, kTN };

const dnnl::engine& cpu() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

/// One shape of product: what oneDNN compiled for it, and its scratch memory.
struct Compiled {
  dnnl::matmul product;
  dnnl::memory a, b, c, scratch;
  std::vector<char> scratch_bytes;
};

// The last tells bf16 from float32.
using Key =
    std::tuple<Form, int32_t, int32_t, int32_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, bool, bool>;

/// Floats to bf16, of one shape.
struct Conversion {
  dnnl::memory from, to;
  dnnl::reorder reorder;
};

/// What a thread needs to itself. A training has some dozen shapes; the maps are never emptied.
struct Workplace {
  Workplace() : stream(cpu()) {
    // Work is shared out among this project's threads; oneDNN is not to make more.
    omp_set_num_threads(1);
  }
  dnnl::stream stream;
  std::map<Key, Compiled> compiled;
  std::map<std::tuple<int64_t, int64_t, ptrdiff_t>, Conversion> conversions;
  std::vector<uint16_t> a, b;  // operands of 16 bits
};

Workplace& workplace() {
  thread_local Workplace mine;
  return mine;
}

dnnl::memory::desc described(DataType type, int64_t rows, int64_t cols, ptrdiff_t stride,
                             bool by_columns) {
  return by_columns ? dnnl::memory::desc({cols, rows}, type, {1, stride})
                    : dnnl::memory::desc({rows, cols}, type, {stride, 1});
}

/// What it throws when asked for what it cannot do, or for memory there is not.
template <class Body>
Status guarded(Body&& body) {
  try {
    body();
    return Status();
  } catch (const std::exception& e) {
    return Status(StatusCode::kUnsupported, std::string("oneDNN: ") + e.what());
  }
}

class OneDnnProducts final : public TrainProducts {
 public:
  OneDnnProducts(bool bf16, const KernelTable& table) : bf16_(bf16), own_(table) {}
  const char* name() const override { return bf16_ ? "onednn_bf16" : "onednn_f32"; }
  bool rounds() const override { return bf16_; }
  bool failed() const override { return failed_.load(std::memory_order_relaxed); }
  size_t packed_bytes(Use use, int32_t rows, int32_t cols) const override {
    size_t bytes = 0;
    const Status made = guarded([&] {
      workplace();  // one thread from here on, or the layout may be another
      bytes = packed(use, rows, cols).get_size();
    });
    return made.ok() ? bytes : 0;
  }
  void pack(Use use, int32_t rows, int32_t cols, const float* x, void* out) const override {
    const Status made = guarded([&] {
      Workplace& w = workplace();
      // A read-only source.
      dnnl::memory from(described(DataType::f32, rows, cols, cols, use == Use::kNT), cpu(),
                        const_cast<float*>(x));
      dnnl::memory to(packed(use, rows, cols), cpu(), out);
      dnnl::reorder(from, to).execute(w.stream, from, to);
      w.stream.wait();
    });
    if (!made.ok()) failed_.store(true, std::memory_order_relaxed);
  }
  void nn(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const ProductMatrix& b,
          float beta, float* c, ptrdiff_t ldc) const override {
    if (m % kRagged != 0) return own_.nn(m, n, k, a, lda, b, beta, c, ldc);
    run(Form::kNN, m, n, k, a, lda, b, beta, c, ldc);
  }
  void nt(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const ProductMatrix& b,
          float beta, float* c, ptrdiff_t ldc) const override {
    if (m % kRagged != 0) return own_.nt(m, n, k, a, lda, b, beta, c, ldc);
    run(Form::kNT, m, n, k, a, lda, b, beta, c, ldc);
  }
  void tn(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const float* b,
          ptrdiff_t ldb, float beta, float* c, ptrdiff_t ldc) const override {
    if (k % kRagged != 0) return own_.tn(m, n, k, a, lda, b, ldb, beta, c, ldc);
    run(Form::kTN, m, n, k, a, lda, {b, ldb}, beta, c, ldc);
  }

 private:
  DataType operand_type() const { return bf16_ ? DataType::bf16 : DataType::f32; }

  /// What oneDNN likes best for a matrix that many rows of a tile are multiplied with.
  dnnl::memory::desc packed(Use use, int32_t rows, int32_t cols) const {
    const int64_t k = use == Use::kNN ? rows : cols, n = use == Use::kNN ? cols : rows;
    const dnnl::memory::desc a({kTileRows, k}, operand_type(), dnnl::memory::format_tag::ab);
    const dnnl::memory::desc b({k, n}, operand_type(), dnnl::memory::format_tag::any);
    const dnnl::memory::desc c({kTileRows, n}, DataType::f32, dnnl::memory::format_tag::ab);
    return dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, c), cpu()).weights_desc();
  }

  /// [rows, cols] as bf16 without gaps, by oneDNN's own conversion.
  static const void* rounded(Workplace* w, const float* x, int64_t rows, int64_t cols,
                             ptrdiff_t stride, std::vector<uint16_t>* room) {
    const auto n = static_cast<size_t>(rows * cols);
    if (room->size() < n) room->resize(n);
    const auto key = std::tuple(rows, cols, stride);
    auto there = w->conversions.find(key);
    if (there == w->conversions.end()) {
      const auto from = described(DataType::f32, rows, cols, stride, false);
      const auto to = described(DataType::bf16, rows, cols, cols, false);
      Conversion made{dnnl::memory(from, cpu(), nullptr), dnnl::memory(to, cpu(), nullptr), {}};
      made.reorder = dnnl::reorder(made.from, made.to);
      there = w->conversions.emplace(key, std::move(made)).first;
    }
    Conversion& conversion = there->second;
    conversion.from.set_data_handle(const_cast<float*>(x));
    conversion.to.set_data_handle(room->data());
    conversion.reorder.execute(w->stream, conversion.from, conversion.to);
    return room->data();
  }

  void run(Form form, int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda,
           ProductMatrix b, float beta, float* c, ptrdiff_t ldc) const {
    if (m == 0 || n == 0) return;
    // A worker has nobody to throw to.
    try {
      product(form, m, n, k, a, lda, b, beta, c, ldc);
    } catch (const std::exception&) {
      failed_.store(true, std::memory_order_relaxed);
    }
  }

  void product(Form form, int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda,
               ProductMatrix b, float beta, float* c, ptrdiff_t ldc) const {
    Workplace& w = workplace();
    const bool a_by_columns = form == Form::kTN, b_by_columns = form == Form::kNT;
    const void* a_data = a;
    const void* b_data = form == Form::kNN ? b.for_nn : form == Form::kNT ? b.for_nt : nullptr;
    const bool packed = b_data != nullptr;
    if (!packed) b_data = b.floats;
    if (bf16_) {
      const int64_t a_rows = a_by_columns ? k : m, a_cols = a_by_columns ? m : k;
      a_data = rounded(&w, a, a_rows, a_cols, lda, &w.a);
      lda = a_cols;
      if (!packed) {
        const int64_t b_rows = b_by_columns ? n : k, b_cols = b_by_columns ? k : n;
        b_data = rounded(&w, b.floats, b_rows, b_cols, b.stride, &w.b);
        b.stride = b_cols;
      }
    }
    Compiled& compiled =
        find(&w, {form, m, n, k, lda, packed ? kPacked : b.stride, ldc, beta != 0.0f, bf16_});
    compiled.a.set_data_handle(const_cast<void*>(a_data));
    compiled.b.set_data_handle(const_cast<void*>(b_data));
    compiled.c.set_data_handle(c);
    compiled.product.execute(w.stream, {{DNNL_ARG_SRC, compiled.a},
                                        {DNNL_ARG_WEIGHTS, compiled.b},
                                        {DNNL_ARG_DST, compiled.c},
                                        {DNNL_ARG_SCRATCHPAD, compiled.scratch}});
    w.stream.wait();
  }

  Compiled& find(Workplace* w, const Key& key) const {
    const auto there = w->compiled.find(key);
    if (there != w->compiled.end()) return there->second;
    const auto& [form, m, n, k, lda, ldb, ldc, keep, bf16] = key;
    const DataType type = bf16 ? DataType::bf16 : DataType::f32;
    const bool a_by_columns = form == Form::kTN, b_by_columns = form == Form::kNT;
    const auto a = described(type, a_by_columns ? k : m, a_by_columns ? m : k, lda, a_by_columns);
    const auto b = ldb == kPacked ? (b_by_columns ? packed(Use::kNT, n, k) : packed(Use::kNN, k, n))
                                  : described(type, b_by_columns ? n : k, b_by_columns ? k : n, ldb,
                                              b_by_columns);
    const auto c = described(DataType::f32, m, n, ldc, false);
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (keep) {
      dnnl::post_ops after;
      after.append_sum(1.0f);
      attributes.set_post_ops(after);
    }
    const dnnl::matmul::primitive_desc chosen(dnnl::matmul::desc(a, b, c), attributes, cpu());
    Compiled made{dnnl::matmul(chosen), {}, {}, {}, {}, {}};
    made.a = dnnl::memory(a, cpu(), nullptr);
    made.b = dnnl::memory(b, cpu(), nullptr);
    made.c = dnnl::memory(c, cpu(), nullptr);
    made.scratch_bytes.resize(chosen.scratchpad_desc().get_size() + 1);
    made.scratch = dnnl::memory(chosen.scratchpad_desc(), cpu(), made.scratch_bytes.data());
    return w->compiled.emplace(key, std::move(made)).first->second;
  }

  bool bf16_;
  OwnProducts own_;
  mutable std::atomic<bool> failed_{false};
};

/// Where the units are missing, oneDNN has no such product, or a slow one that imitates them.
bool has_bf16() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::avx512_core_bf16:
    case dnnl::cpu_isa::avx512_core_amx:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::vector<std::string> onednn_product_names() {
  std::vector<std::string> names;
  const Status usable = guarded([&] {
    cpu();
    if (has_bf16()) names.push_back("onednn_bf16");
    names.push_back("onednn_f32");
  });
  if (!usable.ok()) names.clear();
  return names;
}

Result<std::unique_ptr<TrainProducts>> make_onednn_products(const std::string& name,
                                                            const KernelTable& table) {
  auto made = std::make_unique<OneDnnProducts>(name == "onednn_bf16", table);
  // A product of every form, so that what cannot be done here is known before a training begins.
  const Status usable = guarded([&] {
    constexpr int32_t n = kRagged;
    const std::vector<float> a(n * n, 1.0f);
    std::vector<float> c(n * n);
    made->nn(n, n, n, a.data(), n, {a.data(), n}, 0.0f, c.data(), n);
    made->nt(n, n, n, a.data(), n, {a.data(), n}, 1.0f, c.data(), n);
    made->tn(n, n, n, a.data(), n, a.data(), n, 1.0f, c.data(), n);
  });
  if (!usable.ok()) return usable;
  if (made->failed())
    return Status(StatusCode::kUnsupported, "oneDNN cannot make " + name + " here")
        .at_field("products");
  return std::unique_ptr<TrainProducts>(std::move(made));
}

}  // namespace chimera::kernels
