// Predictions and losses of windows in inference, with everything in between in shared memory.
//
// One block takes one window after the other through the network, as in fused_step.cu but forward only: the weights
// come to shared memory once for all of a block's windows. Written are the window's prediction, its loss, or both.
// Many windows of one long series are read from it as they are, and little else moves.
//
// The network is given as fused_program.cuh, made by crates/cuda/src/fused/emit of its inference program.
//
// Reference: evaluate, sample_losses and predict of crates/engine/src/reference/session.rs

#include "fused/pieces.cuh"
#include "fused/product.cuh"
#include "fused_program.cuh"

enum : unsigned { NO_LOSS = 0 };

// The thread's share of the loss of a window.
__device__ __forceinline__ double scored_loss(Shared<float> all, unsigned which_loss, float delta) {
    switch (which_loss) {
        case MEAN_SQUARED_ERROR: return loss<Scored<MEAN_SQUARED_ERROR>>(all, 1, delta);
        case MEAN_ABSOLUTE_ERROR: return loss<Scored<MEAN_ABSOLUTE_ERROR>>(all, 1, delta);
        case HUBER: return loss<Scored<HUBER>>(all, 1, delta);
        default: return loss<Scored<LOG_COSH>>(all, 1, delta);
    }
}

// Samples first to first + count. Sample number s of x begins at element s * x_hop, its target in y at s * y_hop. For
// sample first + i: losses[i], the mean of the losses of its elements, in f64, unless
// `which_loss` is NO_LOSS, where y is not read; predictions[i], all its elements, if `predicts`. Grid: any number of
// blocks; each of THREADS threads, with SHARED_FLOATS floats of dynamic shared memory.
extern "C" __global__ void __launch_bounds__(THREADS, 1)
    fused_score(unsigned first, unsigned count, In<float> x, unsigned x_hop, In<float> y, unsigned y_hop,
                In<float> weights, unsigned which_loss, float delta, Out<double> losses, unsigned predicts,
                Out<float> predictions) {
    DYNAMIC_SHARED(float, all);
    SHARED(double, warp_losses, THREADS / 32);
    load_weights(weights, all);
    clear_margins(all);
    for (unsigned i = blockIdx.x; i < count; i += gridDim.x) {
        const size_t sample = size_t(first) + i;
        gather_sample(x + sample * x_hop, all);
        if (which_loss != NO_LOSS) gather_target(y + sample * y_hop, all);
        __syncthreads();
        run(all, true, 1);
        __syncthreads();
        if (predicts != 0) {
            for (int e = int(threadIdx.x); e < Scored<NO_LOSS>::LEN; e += THREADS) {
                const int t = e / Scored<NO_LOSS>::CHANNELS, c = e % Scored<NO_LOSS>::CHANNELS;
                predictions[size_t(i) * Scored<NO_LOSS>::LEN + e] =
                    all[Scored<NO_LOSS>::PREDICTION + t * Scored<NO_LOSS>::PREDICTION_PITCH + c];
            }
        }
        if (which_loss != NO_LOSS) {
            const double lost = sum_of_warp(scored_loss(all, which_loss, delta));
            if (threadIdx.x % 32 == 0) warp_losses[threadIdx.x / 32] = lost;
        }
        // The next window takes the place of this one.
        __syncthreads();
        if (which_loss != NO_LOSS && threadIdx.x == 0) {
            double sum = 0.0;
            for (int warp = 0; warp < THREADS / 32; warp++) sum += warp_losses[warp];
            losses[i] = sum;
        }
    }
}
