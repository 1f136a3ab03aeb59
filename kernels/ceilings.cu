// What the machine can do at most: the roof that `glassbox profile` holds every kernel against.

#include "dialect.cuh"

enum : unsigned { CHAINS = 8 };

// Multiply-adds in registers: CHAINS of them under way in each thread, `rounds` times over.
//
// out  (threads), overwritten, so that the work is not thought useless
//
// Grid: as many blocks of 256 threads as keep every multiprocessor busy.
extern "C" __global__ void multiply_adds(Out<float> out, float factor, float term, unsigned rounds) {
    float sums[CHAINS];
    for (unsigned i = 0; i < CHAINS; ++i) sums[i] = float(threadIdx.x + i);
    // Many rounds at a time: counting them would take a tenth of what is to be measured.
#pragma unroll 16
    for (unsigned round = 0; round < rounds; ++round) {
#pragma unroll
        for (unsigned i = 0; i < CHAINS; ++i) sums[i] = fmaf(sums[i], factor, term);
    }
    float sum = 0.0f;
    for (unsigned i = 0; i < CHAINS; ++i) sum += sums[i];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// A copy of memory, sixteen bytes at a time: y = x.
//
// x, y  (4 quads), y overwritten
//
// Grid: any number of blocks; a thread takes every so-manieth quad.
extern "C" __global__ void copy(In<float> x, Out<float> y, unsigned quads) {
    const unsigned threads = gridDim.x * blockDim.x;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < quads; i += threads) {
        const float4 v = load4(x, size_t(4) * i);
        store4(y, size_t(4) * i, v);
    }
}

// Reads of the same memory over and over, sixteen bytes at a time, `rounds` of them a thread. In each round the blocks
// together move on by `stride` quads, which is more than they read at once: so a block comes back to what it has read
// only after a long way round, and does not find it in the cache of its own multiprocessor.
//
// x    (4 quads)
// out  (threads), overwritten, so that the work is not thought useless
//
// Grid: as many blocks of 256 threads as keep every multiprocessor busy.
extern "C" __global__ void reads(In<float> x, Out<float> out, unsigned quads, unsigned stride, unsigned rounds) {
    const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned at = thread % quads;
    float sum = 0.0f;
#pragma unroll 4
    for (unsigned round = 0; round < rounds; ++round) {
        const float4 v = load4(x, size_t(4) * at);
        sum += v.x + v.y + v.z + v.w;
        at += stride;
        if (at >= quads) at -= quads;
    }
    out[thread] = sum;
}
