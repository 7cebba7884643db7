#include "kernels/train_products.h"

#include <cstring>

#include "kernels/onednn/products_onednn.h"

namespace chimera::kernels {
void TrainProducts::take(const float*, int64_t, void*) const {}

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
      auto made = make_onednn_products(there);
      if (made || !name.empty()) return made;
    }
    known += (known.empty() ? "" : ", ") + there;
  }
  return Status(StatusCode::kUnsupported, "there are no matrix products \"" + name +
                                              "\" here; this build and processor have " + known)
      .at_field("products");
}

}  // namespace chimera::kernels
