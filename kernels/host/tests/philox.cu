// Philox by itself, against its authors' known answers and the engine.
//
// words  (n, 4): counters, overwritten by what becomes of them under keys (n, 2)

#include "philox.cuh"

extern "C" __global__ void philox(InOut<unsigned> words, In<unsigned> keys, unsigned n) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Words counter;
    for (unsigned w = 0; w < 4; ++w) counter.word[w] = words[4 * i + w];
    const unsigned key_0 = keys[2 * i], key_1 = keys[2 * i + 1];
    const Words bits = philox_4x32_10(counter, key_0, key_1);
    for (unsigned w = 0; w < 4; ++w) words[4 * i + w] = bits.word[w];
}
