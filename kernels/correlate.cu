// Contraction 3: the gradient of a convolution's kernel, for each part of the batch by itself.
//
//     partials[part][tap, c, o] += sum over the part's samples and t of
//                                  x[t stride + tap dilation - pad_left, c] y[t, o]
//
// Reference: crates/engine/src/reference/correlate.rs; on the CPU: crates/cpu/src/correlate.rs
//
// x         (batch, in_steps, in_channels)
// y         (batch, out_steps, out_channels)
// partials  (parts, weights), added to from `offset` on; see parts.cuh
//
// Grid: (parts, blocks over the kernel); a thread makes one element of one part. Neighbouring threads have
// neighbouring output channels: y is read in whole rows, x is the same address for all of a row. A thread sums its
// samples one after the other, step by step.

#include "control.cuh"
#include "geometry.cuh"
#include "parts.cuh"

extern "C" __global__ void correlate(In<unsigned> control, unsigned within, Geometry a, In<float> x, In<float> y,
                                     InOut<float> partials, unsigned weights, unsigned offset, unsigned per_part) {
    const unsigned element = blockIdx.y * blockDim.x + threadIdx.x;
    const Part part = part_of(blockIdx.x, per_part, batch_of(control, within).count);
    if (part.first >= part.end || element >= a.taps * a.in_channels * a.out_channels) return;
    const unsigned o = element % a.out_channels, row = element / a.out_channels;
    const unsigned c = row % a.in_channels, tap = row / a.in_channels;
    const OutRange steps = out_range(a, tap);

    float sum = 0.0f;
    for (size_t sample = part.first; sample < part.end; ++sample) {
        const size_t x_base = sample * a.in_steps * a.in_channels, y_base = sample * a.out_steps * a.out_channels;
        for (unsigned t = steps.first; t < steps.end; ++t) {
            const unsigned i = t * a.stride + tap * a.dilation - a.pad_left;
            const float xv = x[x_base + i * a.in_channels + c];
            const float yv = y[y_base + t * a.out_channels + o];
            sum = fmaf(xv, yv, sum);
        }
    }
    const size_t at = size_t(blockIdx.x) * weights + offset + element;
    const float before = partials[at];
    partials[at] = before + sum;
}
