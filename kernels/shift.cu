// The step of moving statistics, which no optimiser takes: their change is where the gradient of other weights is.
//
//     weights += change
//
// Reference: update in crates/engine/src/optimizers/mod.rs, to the bit.
//
// change   (weights)
// weights  (weights), updated; left as they are once the run has stopped (control.cuh)
//
// Grid: blocks over the weights; a thread moves one.

#include "control.cuh"

extern "C" __global__ void shift(In<unsigned> control, In<float> change, InOut<float> weights, unsigned len) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned stopped = control[STOPPED];
    if (i >= len || stopped != 0) return;
    const float before = weights[i], by = change[i];
    weights[i] = before + by;
}
