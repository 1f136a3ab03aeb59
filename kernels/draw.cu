// Draws the dropout masks of a batch, the same bits as every other device.
//
//     bit b of mask[position, w] = whether element e = 32 w + b of the sample is kept
//
// Element e has random bits number e, or where only the first `drawn` of them are drawn, number e % drawn.
//
// Reference: draw and repeat in crates/engine/src/masks.rs; on the CPU: crates/cpu/src/kernels/masks.rs
//
// mask  (batch, words), overwritten
//
// Grid: (samples, blocks over the words of one); a thread makes one word. It draws a block of random bits, which decides
// eight elements, whenever it comes to another block: four times, or more often where the bits repeat.

#include "control.cuh"
#include "philox.cuh"

extern "C" __global__ void draw(In<unsigned> control, unsigned within, Out<unsigned> mask, unsigned words,
                                unsigned drawn, unsigned key_0, unsigned key_1, unsigned purpose,
                                unsigned drop_below) {
    const Batch batch = batch_of(control, within);
    const unsigned w = blockIdx.y * blockDim.x + threadIdx.x;
    if (blockIdx.x >= batch.count || w >= words) return;
    const unsigned before = control[STEP];
    unsigned word = 0, block = 0, byte = 0, number = 32 * w % drawn;
    for (unsigned b = 0; b < 32; ++b) {
        if (b == 0 || number / 8 != block) {
            block = number / 8;
            byte = mask_byte(block, blockIdx.x, before + batch.index, purpose, key_0, key_1, drop_below);
        }
        word |= (byte >> (number % 8) & 1) << b;
        ++number;
        if (number == drawn) number = 0;
    }
    mask[size_t(blockIdx.x) * words + w] = word;
}
