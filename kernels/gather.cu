// The samples of a batch, from the data to the program's input.
//
//     y[position, i] = series[sample * hop + i],   sample = order[first + position]
//
// Overlapping windows are a view of a series that lies on the device once: a sample begins `hop` values after the
// one before. Reference: Samples::get in crates/engine/src/samples.rs
//
// series  the values under the view
// y       (batch, len), overwritten
//
// Grid: (samples, blocks over the values of one); a thread copies one.

#include "control.cuh"

extern "C" __global__ void gather(In<unsigned> control, unsigned within, In<float> series, unsigned hop,
                                  In<unsigned> order, unsigned ordered, Out<float> y, unsigned len) {
    const Batch batch = batch_of(control, within);
    const unsigned i = blockIdx.y * blockDim.x + threadIdx.x;
    if (blockIdx.x >= batch.count || i >= len) return;
    const size_t sample = sample_at(order, ordered, batch.first + blockIdx.x);
    const float v = series[sample * hop + i];
    y[size_t(blockIdx.x) * len + i] = v;
}
