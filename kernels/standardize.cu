// Standardisation of the channels of a signal by the statistics of a batch, and its gradient.
//
//     moments             mean and variance of a sample's x[.., c] over its steps
//     meet                those of the batch, from those of its samples; or means over the batch
//     standardize         y  = (x - mean) scale                          scale = 1 / sqrt(variance + epsilon)
//     gradient_means      means of a sample's dy[.., c] and (dy y)[.., c] over its steps
//     standardize_gradient  dx = (dy - mean of dy - y (mean of dy y)) scale
//
// The variance is taken off a mean that the first pass has summed; the second pass also sums how far that is off, adds it
// to the mean, and takes its square off the variance. So a signal that is far from zero loses no more digits than its
// values have lost.
//
// Reference: crates/engine/src/reference/standardize.rs; on the CPU: crates/cpu/src/kernels/standardize.rs
//
// x, y, dy, dx  (batch, steps, channels), y and dx overwritten
// statistics    (batch, 2, channels): means, variances; the same in all samples once they have met

#include "control.cuh"

// statistics  (batch, 2, channels), overwritten
//
// Grid: (samples, blocks over the channels of one); a thread sums a channel, step by step.
extern "C" __global__ void moments(In<unsigned> control, unsigned within, unsigned steps, unsigned channels, In<float> x,
                                   Out<float> statistics) {
    const size_t sample = blockIdx.x;
    const unsigned c = blockIdx.y * blockDim.x + threadIdx.x;
    if (sample >= batch_of(control, within).count || c >= channels) return;
    const size_t first = sample * steps * channels + c;
    float sum = 0.0f;
    for (unsigned t = 0; t < steps; ++t) {
        const float v = x[first + size_t(t) * channels];
        sum += v;
    }
    const float mean = sum / float(steps);
    float off = 0.0f, squares = 0.0f;
    for (unsigned t = 0; t < steps; ++t) {
        const float v = x[first + size_t(t) * channels];
        off += v - mean;
        squares = fmaf(v - mean, v - mean, squares);
    }
    off /= float(steps);
    // Where all values are equal, rounding may leave less than nothing. NaN stays.
    const float variance = fmaf(-off, off, squares / float(steps));
    statistics[sample * 2 * channels + c] = mean + off;
    statistics[(sample * 2 + 1) * channels + c] = variance < 0.0f ? 0.0f : variance;
}

// The mean over the batch of two numbers for each channel; if `of_moments`, these are a mean and a variance, and the
// second result is that of the batch: the mean of the variances plus the variance of the means.
//
// x, y  (batch, 2, channels); y overwritten, in all samples
//
// Grid: blocks over the channels; a thread takes the samples one after the other.
extern "C" __global__ void meet(In<unsigned> control, unsigned within, unsigned channels, unsigned of_moments, In<float> x,
                                Out<float> y) {
    const unsigned c = blockIdx.x * blockDim.x + threadIdx.x;
    const size_t count = batch_of(control, within).count;
    if (c >= channels || count == 0) return;
    double first = 0.0, second = 0.0;
    for (size_t sample = 0; sample < count; ++sample) {
        const float a = x[sample * 2 * channels + c], b = x[(sample * 2 + 1) * channels + c];
        first += double(a);
        second += double(b);
    }
    first /= double(count);
    second /= double(count);
    if (of_moments != 0) {
        double squares = 0.0;
        for (size_t sample = 0; sample < count; ++sample) {
            const float a = x[sample * 2 * channels + c];
            squares += (double(a) - first) * (double(a) - first);
        }
        second += squares / double(count);
    }
    for (size_t sample = 0; sample < count; ++sample) {
        y[sample * 2 * channels + c] = float(first);
        y[(sample * 2 + 1) * channels + c] = float(second);
    }
}

// The change of a moving statistic w, of which 1 - rest stays, added to that of earlier calls of the layer.
//
//     change += rest (statistic - (w + change))
//
// statistic, moving, change  (channels); change updated
//
// Grid: blocks over the channels.
extern "C" __global__ void follow(In<float> statistic, In<float> moving, InOut<float> change, unsigned channels,
                                  float rest) {
    const unsigned c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= channels) return;
    const float s = statistic[c], w = moving[c], before = change[c];
    change[c] = before + rest * (s - (w + before));
}

// mean, variance  (channels) of each sample, `hop` apart: 0 for those of all samples
//
// Grid: (samples, blocks over the elements of one).
extern "C" __global__ void standardize(In<unsigned> control, unsigned within, unsigned len, unsigned channels,
                                       float epsilon, In<float> mean, In<float> variance, unsigned hop, In<float> x,
                                       Out<float> y) {
    const size_t sample = blockIdx.x;
    const unsigned i = blockIdx.y * blockDim.x + threadIdx.x;
    if (sample >= batch_of(control, within).count || i >= len) return;
    const size_t at = sample * hop + i % channels;
    const float m = mean[at], v = variance[at], value = x[sample * len + i];
    y[sample * len + i] = (value - m) * (1.0f / sqrtf(v + epsilon));
}

// means  (batch, 2, channels), overwritten
//
// Grid: (samples, blocks over the channels of one); a thread sums a channel, step by step.
extern "C" __global__ void gradient_means(In<unsigned> control, unsigned within, unsigned steps, unsigned channels,
                                          In<float> y, In<float> dy, Out<float> means) {
    const size_t sample = blockIdx.x;
    const unsigned c = blockIdx.y * blockDim.x + threadIdx.x;
    if (sample >= batch_of(control, within).count || c >= channels) return;
    float sum = 0.0f, products = 0.0f;
    for (unsigned t = 0; t < steps; ++t) {
        const size_t at = (sample * steps + t) * channels + c;
        const float v = y[at], d = dy[at];
        sum += d;
        products = fmaf(d, v, products);
    }
    means[sample * 2 * channels + c] = sum / float(steps);
    means[(sample * 2 + 1) * channels + c] = products / float(steps);
}

// statistics, means  (batch, 2, channels), of which the same for all samples are read
//
// Grid: (samples, blocks over the elements of one).
extern "C" __global__ void standardize_gradient(In<unsigned> control, unsigned within, unsigned len, unsigned channels,
                                                float epsilon, In<float> statistics, In<float> means, In<float> y,
                                                In<float> dy, Out<float> dx) {
    const size_t sample = blockIdx.x;
    const unsigned i = blockIdx.y * blockDim.x + threadIdx.x;
    if (sample >= batch_of(control, within).count || i >= len) return;
    const size_t at = sample * len + i, row = sample * 2 * channels + i % channels;
    const float variance = statistics[row + channels], mean = means[row], product = means[row + channels];
    const float v = y[at], d = dy[at];
    dx[at] = (d - mean - v * product) * (1.0f / sqrtf(variance + epsilon));
}
