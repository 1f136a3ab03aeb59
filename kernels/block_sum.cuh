// The sum of a block's 256 values in a fixed order: 256 become 128, 64, ... 1.

#pragma once

#include "dialect.cuh"

enum : unsigned { SUM_THREADS = 256 };

// `scratch` has room for SUM_THREADS values; all threads of the block come here. The sum is thread 0's.
__device__ inline double block_sum(double v, Shared<double> scratch) {
    scratch[threadIdx.x] = v;
    for (unsigned half = SUM_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) {
            const double a = scratch[threadIdx.x], b = scratch[threadIdx.x + half];
            scratch[threadIdx.x] = a + b;
        }
    }
    return threadIdx.x == 0 ? double(scratch[0]) : 0.0;
}
