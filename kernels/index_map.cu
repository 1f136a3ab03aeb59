// Index maps, and their transposes: elements of one signal as sums of elements of another.
//
// Reference: crates/engine/src/reference/index_map.rs; on the CPU: crates/cpu/src/index_map.rs

#include "control.cuh"

// y[i] = sum over k from starts[i] to starts[i + 1] of  x[sources[k]]
//
// An element of an index map has one source or none, one of its transpose has as many as it has images. A map of
// several inputs is a launch for each of them, in order; the first also stores the zeros of elements without a source.
//
// starts   (len + 1)
// sources  indices into a sample of x
// x        (batch, from)
// y        (batch, len), overwritten; but if `keep`, elements without a source are left as they are
//
// Grid: (samples, blocks over the elements of one); a thread makes one.
extern "C" __global__ void index_map(In<unsigned> control, unsigned within, unsigned from, unsigned len,
                                     In<unsigned> starts, In<unsigned> sources, In<float> x, Out<float> y,
                                     unsigned keep) {
    const size_t sample = blockIdx.x;
    const unsigned element = blockIdx.y * blockDim.x + threadIdx.x;
    if (sample >= batch_of(control, within).count || element >= len) return;
    const unsigned first = starts[element], end = starts[element + 1];
    if (keep && first == end) return;
    float sum = 0.0f;
    for (unsigned k = first; k < end; ++k) {
        const unsigned source = sources[k];
        const float v = x[sample * from + source];
        sum += v;
    }
    y[sample * len + element] = sum;
}
