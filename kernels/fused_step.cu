// A training step in two launches, with everything between the sample and the gradient in shared memory.
//
// One block takes one window from gather to gradient: all values of the window lie in the block's shared memory,
// beside the weights and the sums of their gradients, and nothing goes to device memory before the end. A block
// whose window is done takes the next; at its end it writes its sums, a row of `partials`. The second launch adds
// the rows up in a fixed order, takes the mean of the losses, and lets Adam take its step.
//
//   block b: weights -> shared memory, zeros around the signals
//            for each of its windows b, b + blocks, ...
//                gather the sample and the target, draw the masks        | barrier
//                each line of the training program, on all threads       | a barrier where one line needs another's
//            sums of gradients, loss -> row b of partials
//   update:  partials -> gradient -> Adam -> weights
//
// What the lines of the program are, where each value lies and how each contraction is cut into tiles, is decided on
// the host for the network at hand and given as fused_program.cuh, which is made by crates/cuda/src/fused/emit:
// every shape here is a constant of the compiler's. The order of every sum is fixed by these constants and by the
// number of blocks, so a run gives the same bits again on the same kind of GPU.
//
// Reference: crates/engine/src/reference/session.rs; README.md has the picture, and the arithmetic of the roofline.

#include "control.cuh"
#include "fused/correlate.cuh"
#include "fused/pieces.cuh"
#include "fused/product.cuh"
#include "fused_program.cuh"

// Sample number s of x begins at element s * x_hop, its target in y at s * y_hop. Overwritten: partials (blocks,
// GRADIENTS), the rows of blocks that have a window; losses (samples of the epoch), those of the batch. Grid: blocks,
// each of THREADS threads, with SHARED_FLOATS floats of dynamic shared memory.
extern "C" __global__ void __launch_bounds__(THREADS, 1)
    fused_gradient(In<unsigned> control, unsigned within, In<unsigned> order, unsigned ordered, In<float> x,
                   unsigned x_hop, In<float> y, unsigned y_hop, In<float> weights, unsigned key_0, unsigned key_1,
                   Out<float> partials, Out<double> losses) {
    DYNAMIC_SHARED(float, all);
    SHARED(double, warp_losses, THREADS / 32);
    const Batch batch = batch_of(control, within);
    if (blockIdx.x >= batch.count) return;
    const unsigned before = control[STEP];
    Draw draw = {key_0, key_1, before + batch.index, 0};

    // Asked for before it is needed: which sample is next takes a trip to device memory.
    size_t sample = sample_at(order, ordered, batch.first + blockIdx.x);
    load_weights(weights, all);
    clear_margins(all);
    for (unsigned position = blockIdx.x; position < batch.count; position += gridDim.x) {
        gather_sample(x + sample * x_hop, all);
        gather_target(y + sample * y_hop, all);
        draw.position = position;
        draw_masks(draw, all);
        const unsigned next = position + gridDim.x;
        if (next < batch.count) sample = sample_at(order, ordered, batch.first + next);
        __syncthreads();
        const double lost = sum_of_warp(run(all, position == blockIdx.x, batch.count));
        if (threadIdx.x % 32 == 0) warp_losses[threadIdx.x / 32] = lost;
        // The next window takes the place of this one.
        __syncthreads();
        if (threadIdx.x == 0) {
            double sum = 0.0;
            for (int warp = 0; warp < THREADS / 32; warp++) sum += warp_losses[warp];
            losses[batch.first + position] = sum;
        }
    }
#pragma unroll 4
    for (int i = int(opaque(threadIdx.x)); i < GRADIENTS; i += THREADS) {
        partials[size_t(blockIdx.x) * GRADIENTS + i] = all[SUMS_AT + i];
    }
}

struct Adam {
    float rest_1, rest_2, epsilon;  // 1 - beta_1, 1 - beta_2
};

enum : unsigned { UPDATE_COLUMNS = 32, UPDATE_ROWS = 8 };

// gradient = the sum of all rows of partials; means[batch] = the mean of the batch's losses; and if `take_step`,
// unless this mean or one before it in the epoch is not finite, Adam's step (adam.cu) with alphas[batch]. `blocks` is
// the grid of fused_gradient.
//
// Grid: blocks of (32, 8) threads, 32 weights each. The threads of a column add up every eighth row, then these sums
// are added in order. Each block takes the same mean from the same numbers, and so the same decision.
extern "C" __global__ void __launch_bounds__(UPDATE_COLUMNS* UPDATE_ROWS)
    fused_update(InOut<unsigned> control, unsigned within, In<float> partials, In<double> losses, unsigned blocks,
                 Out<float> gradient, Out<double> means, unsigned take_step, In<float> alphas, InOut<float> weights,
                 InOut<float> m, InOut<float> v, Adam adam) {
    SHARED(float, sums, UPDATE_COLUMNS* UPDATE_ROWS);
    SHARED(double, loss_sums, UPDATE_ROWS);
    const Batch batch = batch_of(control, within);
    if (batch.count == 0) return;
    const unsigned rows = min(batch.count, blocks), i = blockIdx.x * UPDATE_COLUMNS + threadIdx.x;
    // Asked for before the sums are there: else the last threads would wait for device memory a second time.
    float alpha = 0.0f, m_i = 0.0f, v_i = 0.0f, theta = 0.0f;
    if (take_step != 0 && threadIdx.y == 0 && i < GRADIENTS) {
        alpha = alphas[batch.index], m_i = m[i], v_i = v[i], theta = weights[i];
    }

    float sum = 0.0f;
    if (i < GRADIENTS) {
#pragma unroll 8
        for (unsigned row = threadIdx.y; row < rows; row += UPDATE_ROWS) {
            const float part = partials[size_t(row) * GRADIENTS + i];
            sum += part;
        }
    }
    sums[threadIdx.y * UPDATE_COLUMNS + threadIdx.x] = sum;
    double loss = 0.0;
    for (unsigned n = threadIdx.y * UPDATE_COLUMNS + threadIdx.x; n < batch.count; n += UPDATE_COLUMNS * UPDATE_ROWS) {
        const double of_sample = losses[batch.first + n];
        loss += of_sample;
    }
    loss = sum_of_warp(loss);
    if (threadIdx.x == 0) loss_sums[threadIdx.y] = loss;
    __syncthreads();
    if (threadIdx.y > 0) return;

    loss = 0.0;
    for (unsigned row = 0; row < UPDATE_ROWS; row++) loss += loss_sums[row];
    loss /= double(batch.count);
    // All blocks find the same: either all of them set the word, or none does.
    unsigned stop = loss - loss == 0.0 ? 0u : 1u;
    if (threadIdx.x == 0) {
        if (stop != 0) {
            atomicOr(&control[STOPPED], stop);
        } else {
            stop = control[STOPPED];
        }
        if (blockIdx.x == 0) means[batch.index] = loss;
    }
    stop = __shfl_sync(~0u, stop, 0);
    if (i >= GRADIENTS) return;
    float g = 0.0f;
    for (unsigned row = 0; row < UPDATE_ROWS; row++) g += sums[row * UPDATE_COLUMNS + threadIdx.x];
    gradient[i] = g;
    if (take_step == 0 || stop != 0) return;
    m_i += (g - m_i) * adam.rest_1;
    v_i += (g * g - v_i) * adam.rest_2;
    theta -= alpha * m_i / (sqrtf(v_i) + adam.epsilon);
    m[i] = m_i;
    v[i] = v_i;
    weights[i] = theta;
}
