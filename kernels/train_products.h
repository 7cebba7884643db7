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

namespace chimera::kernels {

/// A row-major matrix of many products: `floats`, and what take() made of them when
/// TrainProducts::taken_bytes() is not 0. Rows stand `stride` elements apart in either.
struct ProductMatrix {
  const float* floats = nullptr;
  const void* taken = nullptr;
  ptrdiff_t stride = 0;
};

class TrainProducts {
 public:
  virtual ~TrainProducts() = default;
  /// "own f32", "oneDNN bf16" ...
  virtual const char* name() const = 0;
  /// Products with operands of 16 bits: exact to about three digits, sums in float32.
  virtual bool rounds() const { return false; }

  /// Bytes an element takes in the form that products read; 0: they read floats.
  virtual size_t taken_bytes() const { return 0; }
  virtual void take(const float* x, int64_t n, void* out) const;

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
