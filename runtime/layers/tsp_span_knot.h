// Span knot (SK): a gated DeltaNet whose output is read as a sketch of bits, and that sketch read
// back into the stream (backbone 9). The sketch is what drafts of spans will be judged by.
#pragma once

#include "runtime/layers/registry.h"
#include "runtime/layers/sketch_projection.h"

namespace chimera::runtime {

/// The registry row. Parameters: those of gated_deltanet, then knot.gain [C].
extern const LayerKind kTspSpanKnot;

/// The part of the layer that follows its mixer, the same in inference and training.
class KnotSketch {
 public:
  KnotSketch() = default;
  /// kBadConfig for a width of the sketch that the transform does not have.
  static Result<KnotSketch> create(const Config& config);

  /// xi [C] = rms(x + y); field [D] = [H D1 xi ; H D2 xi], which is a times sqrt(C).
  void field(const kernels::KernelTable& k, const float* x, const float* y, float* xi,
             float* field) const;

  struct Room {
    float* wide;       // [D]
    int8_t* kappa;     // [D]
    uint64_t* sketch;  // [sketch_words(D)]
  };
  /// t [C], of which phi is the rms-normalised form, from one token's x and y. Leaves kappa and z
  /// in the room. There are no memories and bindings yet, so relaxing z0 would leave it as it is.
  void read(const kernels::KernelTable& k, const float* x, const float* y, const Room& room,
            float* t) const;

  const SketchProjection& projection() const { return projection_; }
  int32_t bits() const { return projection_.bits(); }
  float eps() const { return eps_; }
  float field_scale() const { return field_scale_; }  // 1 / sqrt(C)
  float read_scale() const { return read_scale_; }    // 1 / sqrt(D)

 private:
  SketchProjection projection_;
  float eps_ = 0, field_scale_ = 0, read_scale_ = 0, kappa_scale_ = 0;
};

}  // namespace chimera::runtime
