// The threads of a block, rows of shared memory, and sums over the lanes of a warp that share their outputs out.

#pragma once

#include "dialect.cuh"

__device__ constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }
__device__ constexpr int round_up(int a, int b) { return ceil_div(a, b) * b; }

// A thread of a block. The number of its warp comes from the warp's first lane: so the compiler knows that branches
// on it are taken by the whole warp, and need no care.
struct Thread {
    unsigned lane, warp;
};

__device__ __forceinline__ Thread this_thread() {
    const unsigned number = opaque(threadIdx.x);
    return {number % 32, __shfl_sync(~0u, number / 32, 0)};
}

// N neighbouring values: four in one access.
template <int N>
__device__ __forceinline__ void load_row(Shared<float> all, int at, float (&v)[N]) {
    if constexpr (N == 4) {
        const float4 four = load4(all, at);
        v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
    } else {
#pragma unroll
        for (int j = 0; j < N; j++) v[j] = all[at + j];
    }
}

// A tile of A by B sums, element a * B_PADDED + b, that LANES lanes hold parts of and share out. With no more lanes
// than A, a lane ends with A / LANES whole rows of the tile; with more, with a piece of a row, which is padded to be
// cut in equal pieces. A and LANES are powers of two, or LANES is 1.
template <int A, int B, int LANES>
struct Shares {
    static constexpr int PIECES = LANES > A ? LANES / A : 1;
    static constexpr int B_PADDED = round_up(B, PIECES);
    static constexpr int SUMS = A * B_PADDED;
    static constexpr int OWN = SUMS / LANES;
    // Of a lane's sums, so many have the same a and neighbouring b.
    static constexpr int RUN = B_PADDED / PIECES;
    static_assert(LANES == 1 || (SUMS % LANES == 0 && (LANES > A ? LANES % A : A % LANES) == 0), "equal shares");

    // The a and b of the first sum of lane number `part`; those of sum i are a + i / RUN and b + i % RUN.
    static __device__ __forceinline__ int a(unsigned part) { return int(LANES > A ? part / PIECES : part * (A / LANES)); }
    static __device__ __forceinline__ int b(unsigned part) { return int(LANES > A ? part % PIECES * RUN : 0); }
};

// LANES lanes, STRIDE apart, hold N partial sums each. Adding up all N in every lane would take N log2(LANES)
// shuffles. Instead each lane gives half of its sums away and keeps the other half, then half of that, and ends with
// N / LANES of them: N (1 - 1 / LANES) shuffles. Lane number `part` of them ends with sums part * N / LANES and on.
template <int LANES, int STRIDE, int N>
__device__ __forceinline__ void sum_and_scatter(const float (&v)[N], unsigned part, float (&own)[N / LANES]) {
    if constexpr (LANES == 1) {
#pragma unroll
        for (int i = 0; i < N; i++) own[i] = v[i];
    } else {
        constexpr int HALF = N / 2;
        const bool upper = (part & (LANES / 2)) != 0;
        float kept[HALF];
#pragma unroll
        for (int i = 0; i < HALF; i++) {
            const float given = upper ? v[i] : v[i + HALF];
            const float mine = upper ? v[i + HALF] : v[i];
            kept[i] = mine + __shfl_xor_sync(~0u, given, STRIDE * LANES / 2);
        }
        sum_and_scatter<LANES / 2, STRIDE>(kept, part, own);
    }
}

// The sum over all lanes, in each of them.
template <class T>
__device__ __forceinline__ T sum_of_warp(T v) {
#pragma unroll
    for (int by = 16; by > 0; by /= 2) v += __shfl_xor_sync(~0u, v, by);
    return v;
}
