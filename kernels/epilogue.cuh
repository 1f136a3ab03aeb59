// What happens to a value between its sum and its store: bias, ReLU, dropout, and the gate of ReLU's gradient.
//
// Reference: crates/engine/src/reference/pointwise.rs. Up to one of each, in this order:
//
//     ADD_BIAS     v + bias[c]
//     RELU         max(v, 0); NaN stays NaN
//     DROPOUT      v * scale where the mask keeps the element, else 0; scale = 1 / (1 - rate)
//     RELU_GATE    v where gate > 0, else 0
//
// What asks for them in another order is cut into several passes (map.cu) by the host. Which are to be applied is
// the same for all threads of a launch, so the branches cost little.

#pragma once

#include "dialect.cuh"

enum : unsigned { ADD_BIAS = 1, RELU = 2, DROPOUT = 4, RELU_GATE = 8 };

struct Epilogue {
    unsigned functions;  // a sum of the above
    float scale;
};

// Element `element` of sample `sample`, of `len` elements of which it is one of channel `c`.
// bias (channels); mask (batch, ceil(len / 32)), a bit for each element; gate (batch, len). Those that the epilogue
// does not have are null.
__device__ inline float epilogue(Epilogue e, float v, size_t sample, unsigned len, unsigned element, unsigned c,
                                 In<float> bias, In<unsigned> mask, In<float> gate) {
    if (e.functions & ADD_BIAS) {
        const float b = bias[c];
        v += b;
    }
    // Not fmaxf, which would turn NaN into 0 and hide it.
    if (e.functions & RELU) v = v < 0.0f ? 0.0f : v;
    if (e.functions & DROPOUT) {
        const unsigned word = mask[sample * ((len + 31) / 32) + element / 32];
        v = (word >> (element % 32) & 1) ? v * e.scale : 0.0f;
    }
    if (e.functions & RELU_GATE) {
        const float y = gate[sample * len + element];
        v = y > 0.0f ? v : 0.0f;
    }
    return v;
}
