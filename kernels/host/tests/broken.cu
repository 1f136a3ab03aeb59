// Kernels that are broken, each in one way, and a few that are not.

#include "dialect.cuh"

// --- in order

extern "C" __global__ void votes(InOut<unsigned> x) {
    const unsigned lane = threadIdx.x;
    unsigned all = __shfl_down_sync(~0u, lane, 2, 8);
    all |= __shfl_up_sync(~0u, lane, 1) << 5;
    all |= __shfl_xor_sync(~0u, lane, 5) << 10;
    all |= __shfl_sync(~0u, lane, 3, 8) << 15;
    all |= (__ballot_sync(~0u, lane % 8 >= 4) & 0xFF) << 20;
    all |= unsigned(__any_sync(~0u, lane == 7) && !__all_sync(~0u, lane == 7)) << 30;
    x[lane] = all;
}

extern "C" __global__ void exchange(InOut<unsigned>) {
    SHARED(unsigned, tile, 64);
    for (unsigned turn = 0; turn < 3; turn++) {
        tile[threadIdx.x] = threadIdx.x;
        __syncthreads();
        const unsigned other = tile[63 - threadIdx.x];
        __syncthreads();
        tile[threadIdx.x] = other;
        __syncwarp();
        const unsigned neighbour = tile[threadIdx.x ^ 1];
        __syncwarp();
        tile[threadIdx.x] = neighbour;
        __syncthreads();
    }
}

extern "C" __global__ void count(InOut<unsigned> x) {
    if (threadIdx.x == 0 && blockIdx.x == 0) x[0] *= 1;
    __syncthreads();
    atomicAdd(&x[0], 1u);
}

// --- bounds and definedness

extern "C" __global__ void reads_behind(InOut<unsigned> x) {
    const unsigned v = x[blockIdx.x * 64 + threadIdx.x];
    if (v == 1000) x[0] = v;
}
extern "C" __global__ void writes_before(InOut<unsigned> x) { x[-1] = 0; }
extern "C" __global__ void shared_behind(InOut<unsigned>) {
    SHARED(unsigned, tile, 16);
    tile[threadIdx.x] = 0;
}
extern "C" __global__ void unaligned(InOut<float> x) {
    const float4 v = load4(x, threadIdx.x);
    if (v.x == 1000.0f) x[0] = v.y;
}
extern "C" __global__ void dynamic(InOut<unsigned>) {
    DYNAMIC_SHARED(unsigned, all);
    all[threadIdx.x] = 0;
}
extern "C" __global__ void undefined_shared(InOut<unsigned> x) {
    SHARED(unsigned, tile, 32);
    if (threadIdx.x < 31) tile[threadIdx.x] = 0;
    __syncthreads();
    x[threadIdx.x] = tile[threadIdx.x];
}
extern "C" __global__ void shared_of_another_block(InOut<unsigned> x) {
    SHARED(unsigned, tile, 1);
    if (blockIdx.x == 0) tile[0] = 1;
    x[blockIdx.x] = tile[0];
}

// --- barriers

extern "C" __global__ void half_at_barrier(InOut<unsigned>) {
    if (threadIdx.x >= 32) return;
    __syncthreads();
}
extern "C" __global__ void two_barriers(InOut<unsigned>) {
    if (threadIdx.x % 2 == 0) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}

// --- warps

extern "C" __global__ void absent_lane(InOut<unsigned> x) {
    if (threadIdx.x == 9) return;
    const unsigned v = __shfl_down_sync(~0u, threadIdx.x, 1);
    x[threadIdx.x] = v;
}
extern "C" __global__ void lane_at_barrier(InOut<unsigned>) {
    if (threadIdx.x == 0) {
        __syncthreads();
    } else {
        __syncwarp();
    }
}
extern "C" __global__ void outside_mask(InOut<unsigned> x) {
    if (threadIdx.x < 16) x[threadIdx.x] = __shfl_sync(0xFFFFu, threadIdx.x, 20);
}
extern "C" __global__ void not_in_own_mask(InOut<unsigned>) { __syncwarp(0xFFFFu); }
extern "C" __global__ void other_mask(InOut<unsigned>) {
    if (threadIdx.x < 16) {
        __syncwarp(0xFFFFu | 1u << 16);
    } else {
        __syncwarp(~0u);
    }
}

// --- races

extern "C" __global__ void forgotten_barrier(InOut<unsigned> x) {
    SHARED(unsigned, tile, 64);
    tile[threadIdx.x] = threadIdx.x;
    if (threadIdx.x == 40) x[0] = tile[0];
}
extern "C" __global__ void overwritten_too_soon(InOut<unsigned> x) {
    SHARED(unsigned, tile, 64);
    tile[threadIdx.x] = threadIdx.x;
    __syncthreads();
    if (threadIdx.x == 0) x[0] = tile[1];
    tile[threadIdx.x] = 0;
}
extern "C" __global__ void both_write(InOut<unsigned>) {
    SHARED(unsigned, tile, 1);
    tile[0] = 5;
}
extern "C" __global__ void blocks_meet(InOut<unsigned> x) { x[40] = 5; }
extern "C" __global__ void block_overwrites_what_others_read(InOut<unsigned> x) {
    const unsigned v = x[0];
    if (blockIdx.x == 1) x[0] = v;
}
extern "C" __global__ void shuffle_is_no_barrier(InOut<unsigned> x) {
    SHARED(unsigned, tile, 32);
    tile[threadIdx.x] = threadIdx.x;
    __shfl_sync(~0u, threadIdx.x, 0);
    x[threadIdx.x] = tile[31 - threadIdx.x];
}
