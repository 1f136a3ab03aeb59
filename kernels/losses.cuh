// The losses of one element, and their derivatives.
//
//     MEAN_SQUARED_ERROR    loss = d^2                d = y - target
//     MEAN_ABSOLUTE_ERROR   loss = |d|
//     HUBER                 loss = c (d - c / 2)      c = d clamped to -delta .. delta
//     LOG_COSH              loss = log cosh(d)
//
// Reference: crates/engine/src/losses.rs

#pragma once

#include "dialect.cuh"

// 0 is left for no loss: see fused_score.cu. The numbers are those of `loss_code` in crates/cuda/src/kernels/mod.rs.
enum : unsigned { MEAN_SQUARED_ERROR = 1, MEAN_ABSOLUTE_ERROR = 2, HUBER = 3, LOG_COSH = 4 };

// 1 / (n B) for n elements a sample and B samples in the batch, with the factor 2 of the squared error's derivative.
__device__ __forceinline__ float slope_scale(unsigned kind, double elements, double batch) {
    const double share = 1.0 / (elements * batch);
    return float(kind == MEAN_SQUARED_ERROR ? 2.0 * share : share);
}

// The loss of a difference. `slope` is set to its derivative; half of it for MEAN_SQUARED_ERROR.
__device__ __forceinline__ double loss_of(unsigned kind, float delta, float difference, float& slope) {
    const double wide = difference;
    switch (kind) {
        case MEAN_SQUARED_ERROR:
            slope = difference;
            return wide * wide;
        case MEAN_ABSOLUTE_ERROR:
            // What is neither above nor below is 0, or NaN.
            slope = difference > 0.0f ? 1.0f : difference < 0.0f ? -1.0f : difference;
            return fabs(wide);
        case HUBER: {
            // NaN is neither above nor below.
            slope = difference > delta ? delta : difference < -delta ? -delta : difference;
            const double clamped = slope;
            return clamped * (wide - 0.5 * clamped);
        }
        default: {
            slope = float(tanh(wide));
            const double x = fabs(wide);
            if (x < 1.0) {
                const double h = expm1(x);
                return log1p(h * h / (2.0 * (1.0 + h)));
            }
            return x + log1p(exp(-2.0 * x)) - 0.69314718055994530942;
        }
    }
}
