// Normalisation of each step over its channels, and its gradient.
//
//     y  = (x - mean) scale                           scale = 1 / sqrt(variance + epsilon)
//     dx = (dy - mean of dy - y (mean of dy y)) scale
//
// Reference: crates/engine/src/reference/normalize.rs; on the CPU: crates/cpu/src/kernels/normalize.rs
//
// x, y, dy, dx  (batch, steps, channels), y and dx overwritten
//
// Grid: (samples, blocks over the steps of one); a thread makes a step, and takes its sums channel by channel.

#include "control.cuh"

struct Moments {
    float mean;
    float scale;
};

__device__ inline Moments moments(In<float> x, size_t row, unsigned channels, float epsilon) {
    float sum = 0.0f, squares = 0.0f;
    for (unsigned c = 0; c < channels; ++c) {
        const float v = x[row + c];
        sum += v;
    }
    const float mean = sum / float(channels);
    for (unsigned c = 0; c < channels; ++c) {
        const float v = x[row + c];
        squares = fmaf(v - mean, v - mean, squares);
    }
    return {mean, 1.0f / sqrtf(squares / float(channels) + epsilon)};
}

extern "C" __global__ void normalize(In<unsigned> control, unsigned within, unsigned steps, unsigned channels,
                                     float epsilon, In<float> x, Out<float> y) {
    const size_t sample = blockIdx.x;
    const unsigned t = blockIdx.y * blockDim.x + threadIdx.x;
    if (sample >= batch_of(control, within).count || t >= steps) return;
    const size_t row = (sample * steps + t) * channels;
    const Moments m = moments(x, row, channels, epsilon);
    for (unsigned c = 0; c < channels; ++c) {
        const float v = x[row + c];
        y[row + c] = (v - m.mean) * m.scale;
    }
}

extern "C" __global__ void normalize_gradient(In<unsigned> control, unsigned within, unsigned steps, unsigned channels,
                                              float epsilon, In<float> x, In<float> dy, Out<float> dx) {
    const size_t sample = blockIdx.x;
    const unsigned t = blockIdx.y * blockDim.x + threadIdx.x;
    if (sample >= batch_of(control, within).count || t >= steps) return;
    const size_t row = (sample * steps + t) * channels;
    const Moments m = moments(x, row, channels, epsilon);
    float sum = 0.0f, product = 0.0f;
    for (unsigned c = 0; c < channels; ++c) {
        const float v = x[row + c], d = dy[row + c];
        sum += d;
        product = fmaf(d, (v - m.mean) * m.scale, product);
    }
    sum /= float(channels);
    product /= float(channels);
    for (unsigned c = 0; c < channels; ++c) {
        const float v = x[row + c], d = dy[row + c];
        dx[row + c] = (d - sum - (v - m.mean) * m.scale * product) * m.scale;
    }
}
