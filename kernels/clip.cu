// Gradient clipping, before the optimiser's step, as Keras computes it.
//
//     clipped = min(max(g, -limit), limit)                       by value
//     clipped = g limit / max(norm, limit)                       by the norm of the tensor
//     clipped = g (limit min(1 / norm, 1 / limit))               by the norm of all tensors
//
// Reference: crates/engine/src/optimizers/clip.rs, to the bit: sums are taken in double and in the same order, and nothing
// is fused. A norm that is not finite is not hidden: it makes what it clips NaN, or zero where the reference has that.

#include "block_sum.cuh"

enum : unsigned { BY_VALUE = 1, BY_NORM = 2, BY_GLOBAL_NORM = 3 };

// The sum of squares of each tensor of the gradient.
//
// gradient  (weights)
// bounds    (tensors, 2), where each tensor that is trained begins, and where it ends
// sums      (tensors), overwritten
//
// Grid: a block of 256 threads for each tensor.
extern "C" __global__ void sum_squares(In<float> gradient, In<unsigned> bounds, Out<double> sums) {
    SHARED(double, scratch, SUM_THREADS);
    const unsigned first = bounds[2 * blockIdx.x], end = bounds[2 * blockIdx.x + 1];
    double sum = 0.0;
    for (unsigned i = first + threadIdx.x; i < end; i += SUM_THREADS) {
        const float g = gradient[i];
        sum += double(g) * double(g);
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// The clipped gradient.
//
// gradient  (weights)
// bounds    (tensors, 2), as above
// sums      (tensors), as above; null by value
// inverse   1 / limit
// clipped   (weights), overwritten
//
// Grid: (tensors, blocks over the longest); a thread clips an element.
extern "C" __global__ void clip(In<float> gradient, In<unsigned> bounds, unsigned tensors, In<double> sums, unsigned kind,
                                float limit, float inverse, Out<float> clipped) {
    const unsigned first = bounds[2 * blockIdx.x], end = bounds[2 * blockIdx.x + 1];
    const unsigned within = blockIdx.y * blockDim.x + threadIdx.x;
    if (within >= end - first) return;
    const float g = gradient[first + within];
    float result;
    if (kind == BY_VALUE) {
        result = g < -limit ? -limit : g > limit ? limit : g;
    } else if (kind == BY_NORM) {
        const double sum = sums[blockIdx.x];
        const float norm = float(sqrt(sum));
        result = g * limit / (norm < limit ? limit : norm);
    } else {
        double sum = 0.0;
        for (unsigned tensor = 0; tensor < tensors; ++tensor) {
            const double v = sums[tensor];
            sum += v;
        }
        const float norm = float(sqrt(sum)), inverse_norm = 1.0f / norm;
        const float factor = limit * (inverse_norm < inverse ? inverse_norm : inverse) + (norm - norm);
        result = g * factor;
    }
    clipped[first + within] = result;
}
