// Contraction 3, out of shared memory and into it: dkernel[tap, c, o] (+)= sum over t of x[in(t, tap), c] * y[t, o].
//
// Reference: crates/engine/src/reference/correlate.rs; twin on the CPU: crates/cpu/src/kernels/outer.rs.
//
// A thread sums TT taps by CC channels of x by OO channels of y in registers, over RT steps at a time: of x it
// reads the (RT - 1) STRIDE + (TT - 1) DILATION + 1 rows that these steps meet, once for all taps. SPLIT lanes share
// a tile, each with every SPLIT-th RT steps, and add up at the end (scatter.cuh). Steps past the last one meet rows
// of zeros in y.
//
// The sums are those of the block so far: of its first window they are stored, of later ones added. No other thread
// touches them, so no barrier lies between.

#pragma once

#include "fused/scatter.cuh"

// Steps t to t + RT of y, and what they meet of x.
template <class P, class Share, int SPAN>
__device__ __forceinline__ void steps(Shared<float> all, int t, int tap, int c, int o, float (&acc)[Share::SUMS]) {
    const int x = P::X + (t * P::STRIDE + tap * P::DILATION) * P::X_PITCH + c;
    float xs[SPAN][P::CC];
#pragma unroll
    for (int i = 0; i < SPAN; i++) {
        const int at = x + i * P::X_PITCH;
        if constexpr (P::CC == 2) {
            const float2 v = load2(all, at);
            xs[i][0] = v.x, xs[i][1] = v.y;
        } else {
            load_row(all, at, xs[i]);
        }
    }
#pragma unroll
    for (int r = 0; r < P::RT; r++) {
        float ys[P::OO];
        load_row(all, P::Y + (t + r) * P::Y_PITCH + o, ys);
#pragma unroll
        for (int k = 0; k < P::TT; k++) {
#pragma unroll
            for (int i = 0; i < P::CC; i++) {
#pragma unroll
                for (int j = 0; j < P::OO; j++) {
                    float& sum = acc[(i * P::OO + j) * Share::B_PADDED + k];
                    sum = fmaf(xs[r * P::STRIDE + k * P::DILATION][i], ys[j], sum);
                }
            }
        }
    }
}

template <class P>
__device__ __forceinline__ void correlate(Shared<float> all, bool first) {
    using Share = Shares<P::CC * P::OO, P::TT, P::SPLIT>;
    constexpr unsigned IN_TILES = ceil_div(P::IN, P::CC), OUT_TILES = ceil_div(P::OUT, P::OO);
    constexpr unsigned GROUPS = OUT_TILES / P::CL, WORK = P::TAPS / P::TT * IN_TILES * OUT_TILES * P::SPLIT;
    constexpr int SPAN = (P::RT - 1) * P::STRIDE + (P::TT - 1) * P::DILATION + 1;
    constexpr int TURNS = ceil_div(P::STEPS, P::SPLIT * P::RT);
    const Thread self = this_thread();
#pragma unroll 1
    for (unsigned warp = self.warp; warp < ceil_div(WORK, 32); warp += P::WARPS) {
        const unsigned wanted = warp * 32 + self.lane, work = WORK % 32 == 0 ? wanted : min(wanted, WORK - 1);
        const unsigned part = work / P::CL % P::SPLIT, rest = work / (P::CL * P::SPLIT);
        const int o = int(rest % GROUPS * P::CL + work % P::CL) * P::OO, c = int(rest / GROUPS % IN_TILES) * P::CC;
        const int tap = int(rest / GROUPS / IN_TILES) * P::TT;

        float acc[Share::SUMS];
#pragma unroll
        for (int i = 0; i < Share::SUMS; i++) acc[i] = 0.0f;
#pragma unroll 1
        for (int turn = 0; turn < TURNS; turn++) {
            const int t = (turn * P::SPLIT + int(part)) * P::RT;
            if (P::STEPS % (P::SPLIT * P::RT) == 0 || t < P::STEPS) {
                steps<P, Share, SPAN>(all, t, tap, c, o, acc);
            }
        }

        float own[Share::OWN];
        sum_and_scatter<P::SPLIT, P::CL>(acc, part, own);
        if (WORK % 32 != 0 && wanted >= WORK) continue;
        const int a = Share::a(part), b = Share::b(part);
#pragma unroll
        for (int n = 0; n < Share::OWN; n++) {
            const int i = (a + n / Share::RUN) / P::OO, j = (a + n / Share::RUN) % P::OO, k = b + n % Share::RUN;
            if (Share::B_PADDED != P::TT && k >= P::TT) continue;
            if (P::IN % P::CC != 0 && c + i >= P::IN) continue;
            if (P::OUT % P::OO != 0 && o + j >= P::OUT) continue;
            const int place = P::SUM + ((tap + k) * P::IN + c + i) * P::OUT + o + j;
            float sum = own[n];
            if (!(first && P::FIRST)) sum += all[place];
            all[place] = sum;
        }
    }
}
