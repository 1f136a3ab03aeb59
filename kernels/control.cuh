// Where a training run is, in device memory, so that recorded launches need no new arguments.
//
// A recording is n training steps in a row, launched again and again while the host looks on. Which samples a
// step takes, and which dropout masks, is worked out here from a few words and from `within`, the step's place
// in the recording, which is an argument that never changes:
//
//     batch  = control[BASE] + within             of the epoch, from 0
//     first  = batch * control[BATCH]             the place of its first sample in the epoch's order
//     count  = min(control[BATCH], control[SAMPLES] - first)
//
// The last launch of a recording moves BASE on (control.cu). Nothing else changes the words, but STOPPED: it is
// set when a batch's loss is not finite, and from then on the optimiser leaves all as it is. So when the host
// looks, at the end of an epoch, it finds the weights just as they were before that batch.

#pragma once

#include "dialect.cuh"

enum : unsigned {
    BASE = 0,     // batches of this epoch before the recording
    SAMPLES = 1,  // samples in the epoch
    BATCH = 2,    // samples in a batch; the last one takes what is left
    STOPPED = 3,  // 1 once a loss was not finite, else 0
    STEP = 4,     // training steps before the epoch (its low 32 bits)
};

struct Batch {
    unsigned index;
    unsigned first;
    unsigned count;
};

__device__ inline Batch batch_of(In<unsigned> control, unsigned within) {
    const unsigned base = control[BASE], samples = control[SAMPLES], size = control[BATCH];
    const unsigned index = base + within, first = index * size;
    const unsigned left = first < samples ? samples - first : 0;
    return {index, first, left < size ? left : size};
}

// The sample at place `position` of the epoch: order[position], or in an epoch that is in order (`order` null,
// `ordered` 0) the position itself.
__device__ inline unsigned sample_at(In<unsigned> order, unsigned ordered, unsigned position) {
    if (ordered == 0) return position;
    return order[position];
}
