// Functions of single elements that no kernel before them could take along, and the sum and the product of two values.

#include "control.cuh"
#include "epilogue.cuh"

// y = epilogue(x), element by element.
//
// Reference: crates/engine/src/reference/pointwise.rs
//
// x, y  (batch, len), y overwritten
//
// Grid: (samples, blocks over the elements of one); a thread makes one.
extern "C" __global__ void map(In<unsigned> control, unsigned within, unsigned len, unsigned channels, In<float> x,
                               Out<float> y, Epilogue e, In<float> factors, In<float> bias, In<unsigned> mask, In<float> at) {
    const size_t sample = blockIdx.x;
    const unsigned element = blockIdx.y * blockDim.x + threadIdx.x;
    if (sample >= batch_of(control, within).count || element >= len) return;
    const float v = x[sample * len + element];
    y[sample * len + element] = epilogue(e, v, sample, len, element, element % channels, factors, bias, mask, at);
}

// y = a + b: where a value is used twice, its gradients add up.
//
// a, b, y  (batch, len), y overwritten
//
// Grid: as above.
extern "C" __global__ void add(In<unsigned> control, unsigned within, unsigned len, In<float> a, In<float> b,
                               Out<float> y) {
    const size_t sample = blockIdx.x;
    const unsigned element = blockIdx.y * blockDim.x + threadIdx.x;
    if (sample >= batch_of(control, within).count || element >= len) return;
    const float av = a[sample * len + element], bv = b[sample * len + element];
    y[sample * len + element] = av + bv;
}

// y = a b, element by element.
//
// a, b, y  (batch, len), y overwritten
//
// Grid: as above.
extern "C" __global__ void multiply(In<unsigned> control, unsigned within, unsigned len, In<float> a, In<float> b,
                                    Out<float> y) {
    const size_t sample = blockIdx.x;
    const unsigned element = blockIdx.y * blockDim.x + threadIdx.x;
    if (sample >= batch_of(control, within).count || element >= len) return;
    const float av = a[sample * len + element], bv = b[sample * len + element];
    y[sample * len + element] = av * bv;
}
