// The linear map A of a 1-D convolution, as crates/engine/src/geometry.rs has it.
//
// A reads (in_steps, in_channels) and writes (out_steps, out_channels). Its kernel is (taps, in, out), and output
// step t meets input step  i = t * stride + tap * dilation - pad_left  at `tap`, if there is such a step.

#pragma once

#include "dialect.cuh"

struct Geometry {
    unsigned in_steps;
    unsigned in_channels;
    unsigned out_steps;
    unsigned out_channels;
    unsigned taps;
    unsigned stride;
    unsigned dilation;
    unsigned pad_left;
};

// The output steps first..end for which `tap` reads a step of the input, not padding.
struct OutRange {
    unsigned first;
    unsigned end;
};

__device__ inline OutRange out_range(Geometry a, unsigned tap) {
    // 0 <= t stride + reach - pad_left < in_steps
    const unsigned reach = tap * a.dilation, limit = a.in_steps + a.pad_left;
    const unsigned first = reach < a.pad_left ? (a.pad_left - reach + a.stride - 1) / a.stride : 0;
    const unsigned after = reach < limit ? (limit - reach + a.stride - 1) / a.stride : 0;
    const unsigned end = after < a.out_steps ? after : a.out_steps;
    return {first < end ? first : end, end};
}
