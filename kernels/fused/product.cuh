// Contractions 1 and 2, out of shared memory and into it: y = epilogue(A x), or a phase of y = epilogue(A^T x).
//
// Reference: crates/engine/src/reference/apply.rs and apply_transposed.rs; twin on the CPU: crates/cpu/src/product.rs.
//
// Both are the same matrix product. With x as if zeros stood before and after it, and so they do,
//
//     y[t(row), n] = epilogue( sum over g < TAPS, k < LEN of  x[first + row * X_STEP + g * APART, k] * K[tap(g), k, n] )
//
//                  A                       A^T, rows i of which i + pad_left has one remainder by the stride
//     X_STEP       stride                  1
//     APART        dilation                as many steps as lie between two taps that this phase meets
//     tap(g)       g                       the taps that this phase meets, the last first
//     K[tap, k, n] kernel[tap, k, n]       kernel[tap, n, k]
//
// A thread computes a tile of R rows by C columns in registers, so that a number that is read serves several
// multiply-adds: four values of x along the channels, four of the kernel. Rows that follow one another read nearly
// the same x at neighbouring taps: TG taps are taken at once, so each row of x is read once for all of them. Where
// there are fewer tiles than threads, SPLIT lanes of a warp share a tile, each with every SPLIT-th four channels,
// and add up at the end (scatter.cuh).
//
// Neighbouring lanes: CL column tiles, then SPLIT parts of a sum, then row tiles. The host chooses R, SPLIT and the
// pitch of every signal and kernel with banks in mind: crates/cuda/src/fused/tiling.rs.

#pragma once

#include "fused/scatter.cuh"

__device__ __forceinline__ float component(float4 v, int i) { return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w; }

// acc[j, r] += the products of up to TG taps and four channels, or of one channel where there are fewer than four.
template <class P>
struct Fragment {
    using Share = Shares<P::C, P::R, P::SPLIT>;
    static constexpr int SPAN = (P::R - 1) * P::X_STEP + (P::TG - 1) * P::APART + 1;

    // Four channels: x at element `x` of the first row, the kernel at element `k` of the first tap.
    static __device__ __forceinline__ void four(Shared<float> all, int x, int k, int channel, int column,
                                                float (&acc)[Share::SUMS]) {
        float4 xs[SPAN];
#pragma unroll
        for (int i = 0; i < SPAN; i++) xs[i] = load4(all, x + i * P::X_PITCH);
#pragma unroll
        for (int g = 0; g < P::TG; g++) {
            if constexpr (P::TRANSPOSED) {
#pragma unroll
                for (int j = 0; j < P::C; j++) {
                    const float4 w = load4(all, k + g * P::TAP + kernel_row(column, j) * P::K_PITCH + channel);
#pragma unroll
                    for (int r = 0; r < P::R; r++) {
                        const float4 v = xs[r * P::X_STEP + g * P::APART];
                        float& sum = acc[j * Share::B_PADDED + r];
                        sum = fmaf(v.x, w.x, sum);
                        sum = fmaf(v.y, w.y, sum);
                        sum = fmaf(v.z, w.z, sum);
                        sum = fmaf(v.w, w.w, sum);
                    }
                }
            } else {
#pragma unroll
                for (int c = 0; c < 4; c++) {
                    if (P::LEN % 4 != 0 && channel + c >= P::LEN) break;
                    float w[P::C];
                    load_row(all, k + g * P::TAP + (channel + c) * P::K_PITCH + column * P::C, w);
#pragma unroll
                    for (int r = 0; r < P::R; r++) {
                        const float v = component(xs[r * P::X_STEP + g * P::APART], c);
#pragma unroll
                        for (int j = 0; j < P::C; j++) acc[j * Share::B_PADDED + r] = fmaf(v, w[j], acc[j * Share::B_PADDED + r]);
                    }
                }
            }
        }
    }

    // One channel.
    static __device__ __forceinline__ void one(Shared<float> all, int x, int k, int channel, int column,
                                               float (&acc)[Share::SUMS]) {
        float xs[SPAN];
#pragma unroll
        for (int i = 0; i < SPAN; i++) xs[i] = all[x + i * P::X_PITCH];
#pragma unroll
        for (int g = 0; g < P::TG; g++) {
            float w[P::C];
            if constexpr (P::TRANSPOSED) {
#pragma unroll
                for (int j = 0; j < P::C; j++) w[j] = all[k + g * P::TAP + kernel_row(column, j) * P::K_PITCH + channel];
            } else {
                load_row(all, k + g * P::TAP + channel * P::K_PITCH + column * P::C, w);
            }
#pragma unroll
            for (int r = 0; r < P::R; r++) {
#pragma unroll
                for (int j = 0; j < P::C; j++) {
                    acc[j * Share::B_PADDED + r] = fmaf(xs[r * P::X_STEP + g * P::APART], w[j], acc[j * Share::B_PADDED + r]);
                }
            }
        }
    }

    // The row of the kernel that belongs to column j of a tile, where the kernel is read as kernel[tap, column, term].
    static __device__ __forceinline__ int kernel_row(int column, int j) {
        const int row = column + j * P::COLUMN_TILES;
        return P::RAGGED_COLUMNS ? min(row, P::COLUMNS - 1) : row;
    }
};

// All rows and columns, by the warps FIRST_WARP to FIRST_WARP + WARPS. y is overwritten.
template <class P>
__device__ __forceinline__ void product(Shared<float> all) {
    using Share = Shares<P::C, P::R, P::SPLIT>;
    constexpr unsigned ROW_TILES = ceil_div(P::ROWS, P::R), GROUPS = P::COLUMN_TILES / P::CL;
    constexpr unsigned WORK = P::COLUMN_TILES * ROW_TILES * P::SPLIT;
    const Thread self = this_thread();
    // Of warps before the first, the difference wraps round.
    if (self.warp - P::FIRST_WARP >= P::WARPS) return;
#pragma unroll 1
    for (unsigned warp = self.warp - P::FIRST_WARP; warp < ceil_div(WORK, 32); warp += P::WARPS) {
        // Lanes without work do that of others, which is not stored.
        const unsigned wanted = warp * 32 + self.lane, work = WORK % 32 == 0 ? wanted : min(wanted, WORK - 1);
        const unsigned part = work / P::CL % P::SPLIT, rest = work / (P::CL * P::SPLIT);
        const int column = int(rest % GROUPS * P::CL + work % P::CL), row = int(rest / GROUPS * P::R);

        float acc[Share::SUMS];
#pragma unroll
        for (int i = 0; i < Share::SUMS; i++) acc[i] = 0.0f;
        const int x = P::X + row * (P::X_STEP * P::X_PITCH);
        if constexpr (P::TAPS > 0 && P::FOUR) {
            constexpr int FOURS = ceil_div(P::LEN, 4);
#pragma unroll 1
            for (int four = 0; four < ceil_div(FOURS, P::SPLIT); four++) {
                const int channel = 4 * (four * P::SPLIT + int(part));
                if (FOURS % P::SPLIT == 0 || channel < P::LEN) {
#pragma unroll 1
                    for (int g = 0; g < P::TAPS; g += P::TG) {
                        const int first = x + g * (P::APART * P::X_PITCH) + channel;
                        Fragment<P>::four(all, first, P::K + g * P::TAP, channel, column, acc);
                    }
                }
            }
        } else if constexpr (P::TAPS > 0) {
#pragma unroll 1
            for (int channel = 0; channel < P::LEN; channel++) {
#pragma unroll 1
                for (int g = 0; g < P::TAPS; g += P::TG) {
                    const int first = x + g * (P::APART * P::X_PITCH) + channel;
                    Fragment<P>::one(all, first, P::K + g * P::TAP, channel, column, acc);
                }
            }
        }

        float own[Share::OWN];
        sum_and_scatter<P::SPLIT, P::CL>(acc, part, own);
        if (WORK % 32 != 0 && wanted >= WORK) continue;
        if constexpr (P::SPLIT == 1 && P::C == 4 && !P::TRANSPOSED && P::COLUMNS % 4 == 0) {
#pragma unroll
            for (int r = 0; r < P::R; r++) {
                const int t = P::T_FIRST + (row + r) * P::T_STEP, c = column * 4;
                if (P::ROWS % P::R != 0 && row + r >= P::ROWS) break;
                float4 v;
                v.x = P::epilogue(all, own[r], t, c);
                v.y = P::epilogue(all, own[P::R + r], t, c + 1);
                v.z = P::epilogue(all, own[2 * P::R + r], t, c + 2);
                v.w = P::epilogue(all, own[3 * P::R + r], t, c + 3);
                store4(all, P::Y + t * P::Y_PITCH + c, v);
            }
        } else {
            const int j0 = Share::a(part), r0 = Share::b(part);
#pragma unroll
            for (int i = 0; i < Share::OWN; i++) {
                const int j = j0 + i / Share::RUN, r = r0 + i % Share::RUN;
                const int c = P::TRANSPOSED ? column + j * P::COLUMN_TILES : column * P::C + j;
                if (Share::B_PADDED != P::R && r >= P::R) continue;
                if (P::ROWS % P::R != 0 && row + r >= P::ROWS) continue;
                if (P::RAGGED_COLUMNS && c >= P::COLUMNS) continue;
                const int t = P::T_FIRST + (row + r) * P::T_STEP;
                all[P::Y + t * P::Y_PITCH + c] = P::epilogue(all, own[i], t, c);
            }
        }
    }
}
