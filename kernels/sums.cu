// Sums over rows and over parts of the batch.
//
// Reference: sum_steps in crates/engine/src/reference/pointwise.rs; on the CPU: crates/cpu/src/kernels/sums.rs

#include "control.cuh"
#include "parts.cuh"

// partials[part][i] = 0
//
// Grid: blocks over all of the partials.
extern "C" __global__ void clear(Out<float> partials, unsigned len) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < len) partials[i] = 0.0f;
}

// The gradient of a bias, for each part of the batch by itself:
//
//     partials[part][c] += sum over the part's samples and t of  x[t, c]
//
// x         (batch, steps, channels)
// partials  (parts, weights), added to from `offset` on; see parts.cuh
//
// Grid: (parts, blocks over channels) of 32 by 8 threads: 32 neighbouring channels, and of all rows, those of the
// part's samples one after the other, each eighth. Each thread sums its rows in order, then the first of the eight
// adds them up in order.
extern "C" __global__ void sum_steps(In<unsigned> control, unsigned within, unsigned steps, unsigned channels,
                                     In<float> x, InOut<float> partials, unsigned weights, unsigned offset,
                                     unsigned per_part) {
    SHARED(float, sums, 8 * 32);
    const unsigned c = blockIdx.y * 32 + threadIdx.x;
    const Part part = part_of(blockIdx.x, per_part, batch_of(control, within).count);

    float sum = 0.0f;
    if (c < channels) {
        const size_t end = size_t(part.end) * steps;
        for (size_t row = size_t(part.first) * steps + threadIdx.y; row < end; row += 8) {
            const float v = x[row * channels + c];
            sum += v;
        }
    }
    sums[threadIdx.y * 32 + threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && c < channels && part.first < part.end) {
        for (unsigned other = 1; other < 8; ++other) {
            const float v = sums[other * 32 + threadIdx.x];
            sum += v;
        }
        const size_t at = size_t(blockIdx.x) * weights + offset + c;
        const float before = partials[at];
        partials[at] = before + sum;
    }
}

// The gradient of the batch: that of its parts, added up in order.
//
//     gradient[i] = sum over parts of  partials[part][i]
//
// Grid: blocks over the weights; a thread sums one of them. Neighbouring threads read side by side.
extern "C" __global__ void sum_parts(In<unsigned> control, unsigned within, In<float> partials, Out<float> gradient,
                                     unsigned weights, unsigned per_part) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= weights) return;
    const unsigned parts = (batch_of(control, within).count + per_part - 1) / per_part;
    float sum = 0.0f;
    for (size_t part = 0; part < parts; ++part) {
        const float v = partials[part * weights + i];
        sum += v;
    }
    gradient[i] = sum;
}
