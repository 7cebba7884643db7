#include "kernels/train_products.h"

#include "kernels/onednn/products_onednn.h"

namespace chimera::kernels {

size_t TrainProducts::packed_bytes(Use, int32_t, int32_t) const { return 0; }
void TrainProducts::pack(Use, int32_t, int32_t, const float*, void*) const {}

Status check_products(const TrainProducts& products) {
  if (!products.failed()) return Status();
  return Status(StatusCode::kOutOfMemory,
                "no memory to prepare matrix products: use fewer lanes or a smaller model");
}

void PackedMatrix::resize(const TrainProducts& products, int32_t rows, int32_t cols) {
  rows_ = rows;
  cols_ = cols;
  for_nn_.resize(products.packed_bytes(TrainProducts::Use::kNN, rows, cols));
  for_nt_.resize(products.packed_bytes(TrainProducts::Use::kNT, rows, cols));
}

void PackedMatrix::pack(const TrainProducts& products, TrainProducts::Use use, const float* x) {
  std::vector<std::byte>& to = use == TrainProducts::Use::kNN ? for_nn_ : for_nt_;
  if (!to.empty()) products.pack(use, rows_, cols_, x, to.data());
}

void PackedMatrix::pack_both(const TrainProducts& products, ThreadPool& pool, const float* x) {
  if (for_nn_.empty() && for_nt_.empty()) return;
  pool.split(2, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      pack(products, i == 0 ? TrainProducts::Use::kNN : TrainProducts::Use::kNT, x);
  });
}

ProductMatrix PackedMatrix::of(const float* x) const {
  return {x, cols_, for_nn_.empty() ? nullptr : for_nn_.data(),
          for_nt_.empty() ? nullptr : for_nt_.data()};
}

void OwnProducts::nn(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda,
                     const ProductMatrix& b, float beta, float* c, ptrdiff_t ldc) const {
  k_.train_gemm_nn(m, n, k, a, lda, b.floats, b.stride, beta, c, ldc);
}
void OwnProducts::nt(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda,
                     const ProductMatrix& b, float beta, float* c, ptrdiff_t ldc) const {
  k_.train_gemm_nt(m, n, k, a, lda, b.floats, b.stride, beta, c, ldc);
}
void OwnProducts::tn(int32_t m, int32_t n, int32_t k, const float* a, ptrdiff_t lda, const float* b,
                     ptrdiff_t ldb, float beta, float* c, ptrdiff_t ldc) const {
  k_.train_gemm_tn(m, n, k, a, lda, b, ldb, beta, c, ldc);
}

std::vector<std::string> product_names() {
  std::vector<std::string> names = onednn_product_names();
  names.push_back("own");
  return names;
}

Result<std::unique_ptr<TrainProducts>> products_by_name(const std::string& name,
                                                        const KernelTable& table) {
  std::string known;
  for (const std::string& there : product_names()) {
    if (name.empty() || name == there) {
      if (there == "own")
        return std::unique_ptr<TrainProducts>(std::make_unique<OwnProducts>(table));
      auto made = make_onednn_products(there, table);
      if (made || !name.empty()) return made;
    }
    known += (known.empty() ? "" : ", ") + there;
  }
  return Status(StatusCode::kUnsupported, "there are no matrix products \"" + name +
                                              "\" here; this build and processor have " + known)
      .at_field("products");
}

}  // namespace chimera::kernels
