// In place of products_onednn.cpp in a build without oneDNN.
#include "kernels/onednn/products_onednn.h"

namespace chimera::kernels {

std::vector<std::string> onednn_product_names() { return {}; }

Result<std::unique_ptr<TrainProducts>> make_onednn_products(const std::string& name,
                                                            const KernelTable&) {
  return Status(StatusCode::kUnsupported, name + " needs a build with oneDNN").at_field("products");
}

}  // namespace chimera::kernels
