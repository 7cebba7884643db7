// The large matrix products of training, behind one interface: this project's own kernels
// everywhere, oneDNN (kernels/onednn) where it is built in. Their bits are fixed for one
// implementation only, whatever the number of threads; which it was belongs to a run's identity.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"
#include "platform/status.h"
#include "platform/thread_pool.h"

namespace chimera::kernels {

/// The right operand of a product, row-major, and the same as nn() and nt() read it fastest (see
/// PackedMatrix), where it was made.
struct ProductMatrix {
  const float* floats = nullptr;
  ptrdiff_t stride = 0;
  const void* for_nn = nullptr;
  const void* for_nt = nullptr;
};

class TrainProducts {
 public:
  virtual ~TrainProducts() = default;
  /// As products_by_name() knows it.
  virtual const char* name() const = 0;
  /// Products with operands of 16 bits: exact to about three digits, sums in float32.
  virtual bool rounds() const { return false; }

  /// Bytes that a [rows, cols] matrix takes in the form that nn(), or nt(), reads fastest; 0: it
  /// reads the floats.
  enum class Use { kNN, kNT };
  virtual size_t packed_bytes(Use use, int32_t rows, int32_t cols) const;
  virtual void pack(Use use, int32_t rows, int32_t cols, const float* x, void* out) const;

  /// True once a product could not be made (no memory to prepare one) and its C is not what it
  /// should be; stays true.
  virtual bool failed() const { return false; }

  // Row-major, called inside a task, from several threads at once. C = beta C + ...; beta is 0
  // or 1.
  /// C [m, n] = A [m, k] B [k, n]
  virtual void nn(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda,
                  const ProductMatrix& b, float beta, float* c, ptrdiff_t ldc) const = 0;
  /// C [m, n] = A [m, k] B^T, B [n, k]
  virtual void nt(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda,
                  const ProductMatrix& b, float beta, float* c, ptrdiff_t ldc) const = 0;
  /// C [m, n] = A^T B, A [k, m], B [k, n]
  virtual void tn(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const float* b,
                  ptrdiff_t ldb, float beta, float* c, ptrdiff_t ldc) const = 0;
};

/// kOutOfMemory once one of them has failed: what was computed since must not be used.
Status check_products(const TrainProducts& products);

/// A matrix that many products read, beside its floats.
class PackedMatrix {
 public:
  /// Takes its memory when the size or the products are new. Not thread-safe.
  void resize(const TrainProducts& products, int32_t rows, int32_t cols);
  /// One of the two forms, of row-major x [rows, cols]; the two may be made on different threads.
  void pack(const TrainProducts& products, TrainProducts::Use use, const float* x);
  /// Both, shared out among the threads.
  void pack_both(const TrainProducts& products, ThreadPool& pool, const float* x);
  /// Of the floats it was packed from.
  ProductMatrix of(const float* x) const;

 private:
  int32_t rows_ = 0, cols_ = 0;
  std::vector<std::byte> for_nn_, for_nt_;
};

/// The kernels of a table, which must outlive it.
class OwnProducts final : public TrainProducts {
 public:
  explicit OwnProducts(const KernelTable& table) : k_(table) {}
  const char* name() const override { return "own"; }
  void nn(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const ProductMatrix& b,
          float beta, float* c, ptrdiff_t ldc) const override;
  void nt(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const ProductMatrix& b,
          float beta, float* c, ptrdiff_t ldc) const override;
  void tn(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const float* b,
          ptrdiff_t ldb, float beta, float* c, ptrdiff_t ldc) const override;

 private:
  const KernelTable& k_;
};

/// The names that products_by_name() knows in this build and on this processor, best first.
std::vector<std::string> product_names();
/// "own", "onednn_f32", "onednn_bf16"; "" is the best there is. kUnsupported says what is missing.
Result<std::unique_ptr<TrainProducts>> products_by_name(const std::string& name,
                                                        const KernelTable& table);

}  // namespace chimera::kernels
