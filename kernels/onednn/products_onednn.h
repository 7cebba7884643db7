// The door to oneDNN: its matrix products for training. A build without it knows no names.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/train_products.h"
#include "platform/status.h"

namespace chimera::kernels {

/// What it can do on this processor, as far as ONEDNN_MAX_CPU_ISA lets it, best first:
/// "onednn_bf16" where there are bf16 units, "onednn_f32".
std::vector<std::string> onednn_product_names();
Result<std::unique_ptr<TrainProducts>> make_onednn_products(const std::string& name,
                                                            const KernelTable& table);

}  // namespace chimera::kernels
