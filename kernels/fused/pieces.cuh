// All of a window's step that is no contraction: copies, masks, the loss, sums over steps, maps and sums.
//
// References: crates/engine/src/reference/pointwise.rs, losses.rs and masks.rs in crates/engine/src.

#pragma once

#include "activations.cuh"
#include "fused/scatter.cuh"
#include "losses.cuh"
#include "philox.cuh"

// ROWS rows of COLUMNS neighbouring values in device memory on their way to rows PITCH apart in shared memory: first
// all that a thread takes is read, then it is written, so that a thread waits for memory but once. Four at a time if
// FOUR: then the values begin at a multiple of 16 bytes, COLUMNS and PITCH are multiples of 4.
template <int THREADS, int ROWS, int COLUMNS, int PITCH, bool FOUR>
struct Rows {
    static constexpr int EACH = FOUR ? 4 : 1, COUNT = ROWS * COLUMNS / EACH, TURNS = ceil_div(COUNT, THREADS);
    float4 held[TURNS];

    __device__ __forceinline__ void read(In<float> from, unsigned thread) {
#pragma unroll
        for (int turn = 0; turn < TURNS; turn++) {
            const int i = int(thread) + turn * THREADS;
            if (COUNT % THREADS != 0 && i >= COUNT) break;
            if constexpr (FOUR) {
                held[turn] = load4(from, 4 * i);
            } else {
                held[turn].x = from[i];
            }
        }
    }

    __device__ __forceinline__ void write(Shared<float> all, int to, unsigned thread) {
#pragma unroll
        for (int turn = 0; turn < TURNS; turn++) {
            const int i = int(thread) + turn * THREADS, e = i * EACH;
            if (COUNT % THREADS != 0 && i >= COUNT) break;
            const int at = COLUMNS == PITCH ? to + e : to + e / COLUMNS * PITCH + e % COLUMNS;
            if constexpr (FOUR) {
                store4(all, at, held[turn]);
            } else {
                all[at] = held[turn].x;
            }
        }
    }
};

// ROWS rows of COLUMNS zeros, PITCH apart.
template <int THREADS, int ROWS, int COLUMNS, int PITCH>
__device__ __forceinline__ void clear_rows(Shared<float> all, int to, unsigned thread) {
#pragma unroll 1
    for (int i = int(thread); i < ROWS * COLUMNS; i += THREADS) all[to + i / COLUMNS * PITCH + i % COLUMNS] = 0.0f;
}

// What a dropout mask is drawn with: see philox.cuh.
struct Draw {
    unsigned key_0, key_1, turn, position;
};

// A mask of WORDS words, a bit an element. Each thread draws the eight bits of one Philox block; four neighbours
// put them together.
template <int WARPS, int WORDS>
__device__ __forceinline__ void draw_mask(const Draw& draw, unsigned purpose, unsigned drop_below, Shared<float> all, int to) {
    const Thread self = this_thread();
#pragma unroll 1
    for (unsigned warp = self.warp; warp < ceil_div(4 * WORDS, 32); warp += WARPS) {
        const unsigned block = warp * 32 + self.lane;
        unsigned word = mask_byte(block, draw.position, draw.turn, purpose, draw.key_0, draw.key_1, drop_below);
        word <<= block % 4 * 8;
        word |= __shfl_xor_sync(~0u, word, 1);
        word |= __shfl_xor_sync(~0u, word, 2);
        if (block % 4 == 0 && block < 4 * WORDS) all[to + block / 4] = __uint_as_float(word);
    }
}

// v * scale where the mask at `mask` keeps the element, else 0.
__device__ __forceinline__ float dropout(Shared<float> all, unsigned mask, unsigned element, float v, float scale) {
    const float word = all[mask + element / 32];
    return (__float_as_uint(word) >> (element % 32) & 1) != 0 ? v * scale : 0.0f;
}

// max(v, 0); NaN stays NaN, so that it is found.
__device__ __forceinline__ float relu(float v) { return v < 0.0f ? 0.0f : v; }

// dbias[c] (+)= sum over t of x[t, c]. A warp takes four channels, or one where there are fewer; its lanes take steps.
template <class P>
__device__ __forceinline__ void sum_steps(Shared<float> all, bool first) {
    constexpr int WIDE = P::CHANNELS < 4 ? 1 : 4;
    const Thread self = this_thread();
    const int lane = int(self.lane);
#pragma unroll 1
    for (unsigned warp = self.warp; warp < ceil_div(P::CHANNELS, WIDE); warp += P::WARPS) {
        const int c = int(warp) * WIDE;
        float sums[WIDE] = {};
#pragma unroll 3
        for (int turn = 0; turn < ceil_div(P::STEPS, 32); turn++) {
            const int t = turn * 32 + lane, at = P::X + t * P::X_PITCH + c;
            if (P::STEPS % 32 != 0 && t >= P::STEPS) break;
            if constexpr (WIDE == 4) {
                const float4 v = load4(all, at);
                sums[0] += v.x, sums[1] += v.y, sums[2] += v.z, sums[3] += v.w;
            } else {
                sums[0] += all[at];
            }
        }
        // Each of four groups of eight lanes ends with one of four channels.
        float own[1];
        sum_and_scatter<WIDE, 8>(sums, self.lane / 8, own);
#pragma unroll
        for (int by = WIDE == 4 ? 4 : 16; by > 0; by /= 2) own[0] += __shfl_xor_sync(~0u, own[0], by);
        const int mine = WIDE == 4 ? c + lane / 8 : c;
        if (lane % (32 / WIDE) == 0 && mine < P::CHANNELS) {
            if (!(first && P::FIRST)) own[0] += all[P::SUM + mine];
            all[P::SUM + mine] = own[0];
        }
    }
}

// y = epilogue(x), or epilogue(a + b), element by element.
template <class P>
__device__ __forceinline__ void map(Shared<float> all) {
#pragma unroll 1
    for (int i = int(opaque(threadIdx.x)); i < P::STEPS * P::CHANNELS; i += P::WARPS * 32) {
        const int t = i / P::CHANNELS, c = i % P::CHANNELS;
        float v = all[P::A + t * P::A_PITCH + c];
        if constexpr (P::ADDS) v += all[P::B + t * P::B_PITCH + c];
        all[P::Y + t * P::Y_PITCH + c] = P::epilogue(all, v, t, c);
    }
}

// The gradient of the batch's mean loss into dy, for batches of `count` samples, and the thread's share of the
// window's loss: means of the losses of losses.cuh. `delta` is that of HUBER.
template <class P>
__device__ __forceinline__ double loss(Shared<float> all, unsigned count, float delta) {
    const float scale = slope_scale(P::LOSS, double(P::STEPS * P::CHANNELS), double(count));
    double sum = 0.0;
#pragma unroll 1
    for (int i = int(opaque(threadIdx.x)); i < P::STEPS * P::CHANNELS; i += P::WARPS * 32) {
        const int t = i / P::CHANNELS, c = i % P::CHANNELS;
        float difference = all[P::PREDICTION + t * P::PREDICTION_PITCH + c];
        difference -= all[P::TARGET + t * P::TARGET_PITCH + c];
        float slope;
        sum += loss_of(P::LOSS, delta, difference, slope);
        if constexpr (P::GRADIENT) all[P::DY + t * P::DY_PITCH + c] = scale * slope;
    }
    return sum / double(P::STEPS * P::CHANNELS);
}
