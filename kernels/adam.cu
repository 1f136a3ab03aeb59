// Adam, as Keras computes it.
//
//     m     += (g - m) (1 - beta_1)
//     v     += (g^2 - v) (1 - beta_2)
//     theta -= alpha m / (sqrt(v) + epsilon)
//
// With amsgrad v_hat = max(v_hat, v) takes the place of v in the last line; without it, v_hat is null.
//
// Reference: crates/engine/src/optimizers/adam.rs, to the bit: nothing is fused here, roots and quotients are those
// of IEEE 754, and alpha = learning_rate sqrt(1 - beta_2^step) / (1 - beta_1^step) is worked out on the host, by the
// very function that the CPU uses, for every batch of an epoch.
//
// gradient            (weights)
// theta, m, v, v_hat  (weights), updated; left as they are once the run has stopped (control.cuh)
// alphas              (batches of the epoch)
//
// Grid: blocks over the weights; a thread updates one.

#include "control.cuh"

extern "C" __global__ void adam(In<unsigned> control, unsigned within, In<float> gradient, InOut<float> theta,
                                InOut<float> m, InOut<float> v, InOut<float> v_hat, unsigned has_v_hat,
                                unsigned weights, In<float> alphas, float rest_1, float rest_2, float epsilon) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned stopped = control[STOPPED];
    if (i >= weights || stopped != 0) return;
    const float alpha = alphas[batch_of(control, within).index];
    const float g = gradient[i];
    float mv = m[i], vv = v[i], weight = theta[i];
    mv += (g - mv) * rest_1;
    vv += (g * g - vv) * rest_2;
    m[i] = mv;
    v[i] = vv;
    if (has_v_hat != 0) {
        const float before = v_hat[i];
        vv = fmaxf(before, vv);
        v_hat[i] = vv;
    }
    weight -= alpha * mv / (sqrtf(vv) + epsilon);
    theta[i] = weight;
}
