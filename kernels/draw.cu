// Draws the dropout masks of a batch, the same bits as every other device.
//
//     bit b of mask[position, w] = whether element 32 w + b of the sample is kept
//
// Reference: draw in crates/engine/src/masks.rs; on the CPU: crates/cpu/src/kernels/masks.rs
//
// mask  (batch, words), overwritten
//
// Grid: (samples, blocks over the words of one); a thread draws the four blocks of random bits that make a word.

#include "control.cuh"
#include "philox.cuh"

extern "C" __global__ void draw(In<unsigned> control, unsigned within, Out<unsigned> mask, unsigned words,
                                unsigned key_0, unsigned key_1, unsigned purpose, unsigned drop_below) {
    const Batch batch = batch_of(control, within);
    const unsigned w = blockIdx.y * blockDim.x + threadIdx.x;
    if (blockIdx.x >= batch.count || w >= words) return;
    const unsigned before = control[STEP];
    unsigned word = 0;
    for (unsigned byte = 0; byte < 4; ++byte) {
        word |= mask_byte(4 * w + byte, blockIdx.x, before + batch.index, purpose, key_0, key_1, drop_below)
                << (8 * byte);
    }
    mask[size_t(blockIdx.x) * words + w] = word;
}
