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

enum : unsigned { NO_LOSS = 0, SQUARED = 1, ABSOLUTE = 2 };

// Samples first to first + count. Sample number s of x begins at element s * x_hop, its target in y at s * y_hop. For
// sample first + i: losses[i], the mean of the squared or absolute errors over its elements, in f64, unless
// `which_loss` is NO_LOSS, where y is not read; predictions[i], all its elements, if `predicts`. Grid: any number of
// blocks; each of THREADS threads, with SHARED_FLOATS floats of dynamic shared memory.
extern "C" __global__ void __launch_bounds__(THREADS, 1)
    fused_score(unsigned first, unsigned count, In<float> x, unsigned x_hop, In<float> y, unsigned y_hop,
                In<float> weights, unsigned which_loss, Out<double> losses, unsigned predicts, Out<float> predictions) {
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
            for (int e = int(threadIdx.x); e < Scored<true>::LEN; e += THREADS) {
                const int t = e / Scored<true>::CHANNELS, c = e % Scored<true>::CHANNELS;
                predictions[size_t(i) * Scored<true>::LEN + e] =
                    all[Scored<true>::PREDICTION + t * Scored<true>::PREDICTION_PITCH + c];
            }
        }
        if (which_loss != NO_LOSS) {
            double lost = which_loss == SQUARED ? loss<Scored<true>>(all, 1) : loss<Scored<false>>(all, 1);
            lost = sum_of_warp(lost);
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
