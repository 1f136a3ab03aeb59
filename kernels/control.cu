// The end of a recording: its steps are taken.
//
//     control[BASE] += steps
//
// Grid: one thread. See control.cuh.

#include "control.cuh"

extern "C" __global__ void advance(InOut<unsigned> control, unsigned steps) {
    const unsigned base = control[BASE];
    control[BASE] = base + steps;
}
