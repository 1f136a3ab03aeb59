// Gradients of weights are sums over the samples of a batch. To share them out among blocks without adding to the
// same number from two of them, a batch is cut into parts of `per_part` samples, in order. Each part has a gradient
// of its own, a row of `partials` (parts, weights); sums.cu clears them and adds them up, part after part. So the
// order of every sum is fixed: the same bits come out each time.

#pragma once

#include "dialect.cuh"

// The samples first..end of a part.
struct Part {
    unsigned first;
    unsigned end;
};

__device__ inline Part part_of(unsigned part, unsigned per_part, unsigned count) {
    const unsigned first = part * per_part, end = first + per_part;
    return {first < count ? first : count, end < count ? end : count};
}
