// What happens to a value between its sum and its store: factor, bias, activation, dropout, and the gradient of an
// activation.
//
// Reference: crates/engine/src/reference/pointwise.rs. Up to one of each, in this order:
//
//     SCALE        v * factors[c]
//     ADD_BIAS     v + bias[c]
//     ACTIVATE     activation(v)
//     DROPOUT      v * scale where the mask keeps the element, else 0; scale = 1 / (1 - rate)
//     GRADIENT     v activation', from `at`
//
// What asks for them in another order is cut into several passes (map.cu) by the host. Which are to be applied is
// the same for all threads of a launch, so the branches cost little.

#pragma once

#include "activations.cuh"

enum : unsigned { SCALE = 1, ADD_BIAS = 2, ACTIVATE = 4, DROPOUT = 8, GRADIENT = 16 };

struct Epilogue {
    unsigned functions;  // a sum of the above
    float scale;
    unsigned activation;  // of ACTIVATE
    float argument;
    unsigned gradient;  // the activation of GRADIENT
    float gradient_argument;
};

// Element `element` of sample `sample`, of `len` elements of which it is one of channel `c`.
// factors, bias (channels); mask (batch, ceil(len / 32)), a bit for each element; at (batch, len). Those that the epilogue
// does not have are null.
__device__ inline float epilogue(Epilogue e, float v, size_t sample, unsigned len, unsigned element, unsigned c,
                                 In<float> factors, In<float> bias, In<unsigned> mask, In<float> at) {
    if (e.functions & SCALE) {
        const float factor = factors[c];
        v *= factor;
    }
    if (e.functions & ADD_BIAS) {
        const float b = bias[c];
        v += b;
    }
    if (e.functions & ACTIVATE) v = activate(e.activation, e.argument, v);
    if (e.functions & DROPOUT) {
        const unsigned word = mask[sample * ((len + 31) / 32) + element / 32];
        v = (word >> (element % 32) & 1) ? v * e.scale : 0.0f;
    }
    if (e.functions & GRADIENT) {
        const float kept = at[sample * len + element];
        v = activation_gradient(e.gradient, e.gradient_argument, kept, v);
    }
    return v;
}
