// RMSprop, as Keras computes it.
//
//     v     = rho v + (1 - rho) g^2
//     a     = rho a + (1 - rho) g                  centered; if not, a is null
//     step  = rate g / sqrt(v + epsilon)
//     step  = rate g / sqrt(v - a^2 + epsilon)     in its place, if centered
//
//     theta -= step                                without momentum: m is null
//
//     m      = momentum m + step                   with it
//     theta -= m
//
// Reference: crates/engine/src/optimizers/rmsprop.rs, to the bit: nothing is fused here, roots and quotients are those
// of IEEE 754.
//
// gradient        (weights)
// theta, v, m, a  (weights), updated; left as they are once the run has stopped (control.cuh)
// rates           (batches of the epoch), the learning rate
//
// Grid: blocks over the weights; a thread updates one.

#include "control.cuh"

extern "C" __global__ void rmsprop(In<unsigned> control, unsigned within, In<float> gradient, InOut<float> theta,
                                   InOut<float> v, InOut<float> m, unsigned has_m, InOut<float> a, unsigned has_a,
                                   unsigned weights, In<float> rates, float rho, float rest, float momentum,
                                   float epsilon) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned stopped = control[STOPPED];
    if (i >= weights || stopped != 0) return;
    const float rate = rates[batch_of(control, within).index];
    const float g = gradient[i];
    float vv = v[i];
    vv = rho * vv + rest * (g * g);
    v[i] = vv;
    float variance = vv;
    if (has_a != 0) {
        float av = a[i];
        av = rho * av + rest * g;
        a[i] = av;
        variance = vv - av * av;
    }
    float step = rate * g / sqrtf(variance + epsilon);
    if (has_m != 0) {
        float mv = m[i];
        mv = momentum * mv + step;
        m[i] = mv;
        step = mv;
    }
    float weight = theta[i];
    weight -= step;
    theta[i] = weight;
}
