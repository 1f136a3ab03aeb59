// sum = the sum of all x, in two launches: of each block, then of the blocks.

#include "dialect.cuh"

// partial[b] = the sum of the elements i of x with i / THREADS mod gridDim = b. Blocks of THREADS threads,
// a multiple of 32; a float of dynamic shared memory for each.
extern "C" __global__ void __launch_bounds__(THREADS) block_sums(In<float> x, unsigned n, Out<float> partial) {
    DYNAMIC_SHARED(float, terms);
    SHARED(float, warps, THREADS / 32);
    float sum = 0.0f;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        const float v = x[i];
        sum += v;
    }
    // Through shared memory first, for the sake of the test: each thread passes its sum to a neighbour.
    terms[threadIdx.x] = sum;
    __syncthreads();
    sum = terms[(threadIdx.x + 1) % THREADS];
    for (unsigned by = 16; by > 0; by /= 2) sum += __shfl_down_sync(~0u, sum, by);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        float all = 0.0f;
        for (unsigned warp = 0; warp < THREADS / 32; warp++) all += warps[warp];
        partial[blockIdx.x] = all;
    }
}

// sum[0] = the sum of n <= 32 elements of x. One warp.
extern "C" __global__ void warp_sum(In<float> x, unsigned n, Out<float> sum) {
    float v = threadIdx.x < n ? x[threadIdx.x] : 0.0f;
    for (int by = 16; by > 0; by /= 2) v += __shfl_xor_sync(~0u, v, by);
    if (threadIdx.x == 0) sum[0] = v;
}
