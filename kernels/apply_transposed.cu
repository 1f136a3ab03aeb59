// Contraction 2: the transpose of a convolution's linear map A, with an epilogue.
//
//     y[i, c] = epilogue( sum over t, tap with t stride + tap dilation - pad_left = i, and o, of
//                         x[t, o] kernel[tap, c, o] )
//
// Reference: crates/engine/src/reference/apply_transposed.rs; on the CPU: crates/cpu/src/apply_transposed.rs
//
// x           (batch, out_steps, out_channels)
// transposed  (taps, out_channels, in_channels): the kernel with its channels exchanged, by transpose_kernel below
// y           (batch, in_steps, in_channels), overwritten
//
// The reference scatters: each element of x goes to the steps that A reads it from. Threads that scatter would have
// to add to the same element, so here an element of y gathers what comes to it: for each tap there is one output
// step t at most, and none where i + pad_left - tap dilation is no multiple of the stride.
//
// Grid: (samples, blocks over the output of one); a thread makes one element of y. Neighbouring threads have
// neighbouring channels c. In the kernel as it is, (taps, in, out), they would read a whole row apart; in the
// transposed one they read side by side.

#include "control.cuh"
#include "epilogue.cuh"
#include "geometry.cuh"

extern "C" __global__ void apply_transposed(In<unsigned> control, unsigned within, Geometry a, In<float> x,
                                            In<float> transposed, Out<float> y, Epilogue e, In<float> factors, In<float> bias,
                                            In<unsigned> mask, In<float> at) {
    const size_t sample = blockIdx.x;
    const unsigned element = blockIdx.y * blockDim.x + threadIdx.x;
    const unsigned len = a.in_steps * a.in_channels;
    if (sample >= batch_of(control, within).count || element >= len) return;
    const unsigned i = element / a.in_channels, c = element % a.in_channels;
    const size_t x_base = sample * a.out_steps * a.out_channels;

    float sum = 0.0f;
    for (unsigned tap = 0; tap < a.taps; ++tap) {
        const unsigned from = i + a.pad_left, reach = tap * a.dilation;
        if (from < reach || (from - reach) % a.stride != 0) continue;
        const unsigned t = (from - reach) / a.stride;
        if (t >= a.out_steps) continue;
        for (unsigned o = 0; o < a.out_channels; ++o) {
            const float xv = x[x_base + t * a.out_channels + o];
            const float k = transposed[(tap * a.out_channels + o) * a.in_channels + c];
            sum = fmaf(xv, k, sum);
        }
    }
    y[sample * len + element] = epilogue(e, sum, sample, len, element, c, factors, bias, mask, at);
}

// transposed[tap, o, c] = kernel[tap, c, o]
//
// Grid: blocks over the kernel; a thread writes one element, in order.
extern "C" __global__ void transpose_kernel(Geometry a, In<float> kernel, Out<float> transposed) {
    const unsigned element = blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= a.taps * a.in_channels * a.out_channels) return;
    const unsigned c = element % a.in_channels, row = element / a.in_channels;
    const unsigned o = row % a.out_channels, tap = row / a.out_channels;
    const float k = kernel[(tap * a.in_channels + c) * a.out_channels + o];
    transposed[element] = k;
}
