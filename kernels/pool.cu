// Pooling over time: the maximum, or the mean, of each window of a channel; and its gradient.
//
// Reference: crates/engine/src/reference/pool.rs; on the CPU: crates/cpu/src/kernels/pooling.rs. Sums have the same order,
// so the results are the same to the bit.

#include "control.cuh"
#include "geometry.cuh"

// The input steps first..end of a window. Padding is no part of it, and there is at least one.
struct Window {
    unsigned first;
    unsigned end;
};

__device__ inline Window window_of(Geometry a, unsigned t) {
    const unsigned start = t * a.stride, end = start + a.taps - a.pad_left;
    return {start < a.pad_left ? 0 : start - a.pad_left, end < a.in_steps ? end : a.in_steps};
}

// The step of a window that has the maximum of the channel at x_base: the first of several. NaN counts as the maximum.
__device__ inline unsigned argmax(Geometry a, Window window, In<float> x, size_t x_base) {
    unsigned best = window.first;
    float max = x[x_base + best * a.in_channels];
    for (unsigned i = window.first + 1; i < window.end; ++i) {
        const float v = x[x_base + i * a.in_channels];
        if (v > max || v != v) {
            max = v;
            best = i;
        }
    }
    return best;
}

// y[t, c] = the maximum (`mean` is 0), or the mean, of window t of channel c.
//
// x  (batch, in_steps, channels)
// y  (batch, out_steps, channels), overwritten
//
// Grid: (samples, blocks over the output of one); a thread makes one element of y. Neighbouring threads have
// neighbouring channels, so x is read and y is written in whole rows.
extern "C" __global__ void pool(In<unsigned> control, unsigned within, Geometry a, unsigned mean, In<float> x,
                                Out<float> y) {
    const size_t sample = blockIdx.x;
    const unsigned element = blockIdx.y * blockDim.x + threadIdx.x;
    const unsigned len = a.out_steps * a.out_channels;
    if (sample >= batch_of(control, within).count || element >= len) return;
    const Window window = window_of(a, element / a.out_channels);
    const size_t x_base = sample * a.in_steps * a.in_channels + element % a.out_channels;
    if (mean == 0) {
        const float v = x[x_base + argmax(a, window, x, x_base) * a.in_channels];
        y[sample * len + element] = v;
        return;
    }
    float sum = 0.0f;
    for (unsigned i = window.first; i < window.end; ++i) {
        const float v = x[x_base + i * a.in_channels];
        sum += v;
    }
    y[sample * len + element] = sum / float(window.end - window.first);
}

// The gradient of pool: dy[t, c] goes to the maximum of its window, or to all of it in equal parts.
//
// x, dx  (batch, in_steps, channels), dx overwritten
// dy     (batch, out_steps, channels)
//
// Grid: (samples, blocks over the input of one); a thread makes one element of dx. It gathers from the windows that the
// element is in, because threads that scatter would have to add to the same element.
extern "C" __global__ void pool_gradient(In<unsigned> control, unsigned within, Geometry a, unsigned mean, In<float> x,
                                         In<float> dy, Out<float> dx) {
    const size_t sample = blockIdx.x;
    const unsigned element = blockIdx.y * blockDim.x + threadIdx.x;
    const unsigned len = a.in_steps * a.in_channels;
    if (sample >= batch_of(control, within).count || element >= len) return;
    const unsigned i = element / a.in_channels, c = element % a.in_channels;
    const size_t x_base = sample * len + c, dy_base = sample * a.out_steps * a.out_channels + c;
    // Window t has the steps from t stride - pad_left on.
    const unsigned from = i + a.pad_left, last = from / a.stride;
    const unsigned first = from < a.taps ? 0 : (from - a.taps) / a.stride + 1;
    float sum = 0.0f;
    for (unsigned t = first; t <= last && t < a.out_steps; ++t) {
        const Window window = window_of(a, t);
        const float v = dy[dy_base + t * a.out_channels];
        if (mean != 0) {
            sum += v / float(window.end - window.first);
        } else if (argmax(a, window, x, x_base) == i) {
            sum += v;
        }
    }
    dx[sample * len + element] = sum;
}
