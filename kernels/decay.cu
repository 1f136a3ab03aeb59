// The decay of the weights before the optimiser's step, as Keras computes it.
//
//     theta -= theta weight_decay rate
//
// Reference: crates/engine/src/optimizers/common.rs, to the bit: nothing is fused here.
//
// theta  (weights), updated; left as it is once the run has stopped (control.cuh)
// rates  (batches of the epoch), the learning rate
//
// Grid: blocks over the weights; a thread updates one.

#include "control.cuh"

extern "C" __global__ void decay(In<unsigned> control, unsigned within, InOut<float> theta, unsigned weights,
                                 In<float> rates, float weight_decay) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned stopped = control[STOPPED];
    if (i >= weights || stopped != 0) return;
    const float rate = rates[batch_of(control, within).index];
    float weight = theta[i];
    weight -= weight * weight_decay * rate;
    theta[i] = weight;
}
