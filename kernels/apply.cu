// Contraction 1: a convolution's linear map A, with an epilogue.
//
//     y[t, o] = epilogue( sum over tap, c of  x[t stride + tap dilation - pad_left, c] kernel[tap, c, o] )
//
// Reference: crates/engine/src/reference/apply.rs; on the CPU: crates/cpu/src/apply.rs
//
// x       (batch, in_steps, in_channels)
// kernel  (taps, in_channels, out_channels)
// y       (batch, out_steps, out_channels), overwritten
//
// Grid: (samples, blocks over the output of one); a thread makes one element of y. Neighbouring threads have
// neighbouring output channels: the kernel is read and y is written in whole rows, and x is the same address for
// all of a row. A sum is taken tap by tap, channel by channel, as the reference does it.

#include "control.cuh"
#include "epilogue.cuh"
#include "geometry.cuh"

extern "C" __global__ void apply(In<unsigned> control, unsigned within, Geometry a, In<float> x, In<float> kernel,
                                 Out<float> y, Epilogue e, In<float> factors, In<float> bias, In<unsigned> mask, In<float> at) {
    const size_t sample = blockIdx.x;
    const unsigned element = blockIdx.y * blockDim.x + threadIdx.x;
    const unsigned len = a.out_steps * a.out_channels;
    if (sample >= batch_of(control, within).count || element >= len) return;
    const unsigned t = element / a.out_channels, o = element % a.out_channels;
    const size_t x_base = sample * a.in_steps * a.in_channels;

    float sum = 0.0f;
    for (unsigned tap = 0; tap < a.taps; ++tap) {
        // Before the first step the difference wraps, to a number beyond the last.
        const unsigned i = t * a.stride + tap * a.dilation - a.pad_left;
        if (i >= a.in_steps) continue;
        for (unsigned c = 0; c < a.in_channels; ++c) {
            const float xv = x[x_base + i * a.in_channels + c];
            const float k = kernel[(tap * a.in_channels + c) * a.out_channels + o];
            sum = fmaf(xv, k, sum);
        }
    }
    y[sample * len + element] = epilogue(e, sum, sample, len, element, o, factors, bias, mask, at);
}
