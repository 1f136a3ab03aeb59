// Gradient descent, with momentum, as Keras computes it.
//
//     theta -= rate g                        without momentum: m is null
//
//     m      = momentum m - rate g           with it
//     theta += m
//     theta += momentum m - rate g           in its place, with nesterov
//
// Reference: crates/engine/src/optimizers/sgd.rs, to the bit: nothing is fused here.
//
// gradient  (weights)
// theta, m  (weights), updated; left as they are once the run has stopped (control.cuh)
// rates     (batches of the epoch), the learning rate
//
// Grid: blocks over the weights; a thread updates one.

#include "control.cuh"

extern "C" __global__ void sgd(In<unsigned> control, unsigned within, In<float> gradient, InOut<float> theta,
                               InOut<float> m, unsigned has_m, unsigned weights, In<float> rates, float momentum,
                               unsigned nesterov) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned stopped = control[STOPPED];
    if (i >= weights || stopped != 0) return;
    const float rate = rates[batch_of(control, within).index];
    const float g = gradient[i];
    const float step = g * rate;
    float weight = theta[i];
    if (has_m == 0) {
        weight -= step;
    } else {
        float mv = m[i];
        mv = mv * momentum - step;
        m[i] = mv;
        weight += nesterov != 0 ? mv * momentum - step : mv;
    }
    theta[i] = weight;
}
