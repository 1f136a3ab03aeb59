// The loss of each sample, its gradient, and the mean over a batch.
//
// See losses.cuh for the losses of one element, of which these are means. Sums are in double, and their order is fixed: a thread takes
// every 256th value, then the threads' sums are added in a tree.
//
// Reference: crates/engine/src/losses.rs; on the CPU: crates/cpu/src/kernels/loss.rs

#include "block_sum.cuh"
#include "control.cuh"
#include "losses.cuh"

// losses[first + position] and, if `wants_gradient`, dy. With MEAN_ABSOLUTE_ERROR and no gradient this is the error
// of each window that a detector looks at.
//
// y        (batch, len)
// targets  the values under a view, as in gather.cu
// losses   (samples of the epoch), overwritten
// dy       (batch, len), overwritten; null without a gradient
//
// Grid: a block of 256 threads for each sample.
extern "C" __global__ void loss(In<unsigned> control, unsigned within, unsigned kind, float delta, In<float> y,
                                In<float> targets, unsigned hop, In<unsigned> order, unsigned ordered, Out<double> losses,
                                unsigned wants_gradient, Out<float> dy, unsigned len) {
    SHARED(double, scratch, SUM_THREADS);
    const Batch batch = batch_of(control, within);
    if (blockIdx.x >= batch.count) return;  // the whole block
    const size_t sample = sample_at(order, ordered, batch.first + blockIdx.x);
    const float scale = slope_scale(kind, double(len), double(batch.count));

    double sum = 0.0;
    for (unsigned i = threadIdx.x; i < len; i += SUM_THREADS) {
        const size_t at = size_t(blockIdx.x) * len + i;
        const float yv = y[at], target = targets[sample * hop + i];
        float slope;
        sum += loss_of(kind, delta, yv - target, slope);
        if (wants_gradient != 0) dy[at] = scale * slope;
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) losses[batch.first + blockIdx.x] = sum / double(len);
}

// means[batch] = the mean over the batch's samples. A mean that is not finite stops the run: see control.cuh.
//
// losses  (samples of the epoch)
// means   (batches of the epoch), one overwritten
//
// Grid: one block of 256 threads.
extern "C" __global__ void mean_loss(InOut<unsigned> control, unsigned within, In<double> losses, Out<double> means) {
    SHARED(double, scratch, SUM_THREADS);
    const Batch batch = batch_of(control, within);
    double sum = 0.0;
    for (unsigned i = threadIdx.x; i < batch.count; i += SUM_THREADS) {
        const double v = losses[batch.first + i];
        sum += v;
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0 && batch.count > 0) {
        const double mean = sum / double(batch.count);
        means[batch.index] = mean;
        // The largest double; NaN is not below it either.
        if (!(fabs(mean) <= 1.7976931348623157e308)) control[STOPPED] = 1;
    }
}
