// Philox 4x32 with ten rounds: 128 random bits of a 128-bit counter and a 64-bit key.
//
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
// Reference: philox_4x32_10 in crates/engine/src/random.rs

#pragma once

#include "dialect.cuh"

struct Words {
    unsigned word[4];
};

__device__ inline Words philox_4x32_10(Words counter, unsigned key_0, unsigned key_1) {
    for (unsigned round = 0; round < 10; ++round) {
        if (round > 0) {
            // The golden ratio and the square root of 3, less their integer parts.
            key_0 += 0x9E3779B9u;
            key_1 += 0xBB67AE85u;
        }
        const unsigned long long first = 0xD2511F53ull * counter.word[0];
        const unsigned long long second = 0xCD9E8D57ull * counter.word[2];
        counter = {{unsigned(second >> 32) ^ counter.word[1] ^ key_0, unsigned(second),
                    unsigned(first >> 32) ^ counter.word[3] ^ key_1, unsigned(first)}};
    }
    return counter;
}

// Eight elements of a dropout mask, a bit each: block `block` of the sample at `position` of a batch. Each element
// has 16 random bits, two elements a word, the low half first; it is kept if they are not below `drop_below`.
// `turn` and `purpose` are the high words of the counter: the training step, and which mask.
// Reference: crates/engine/src/masks.rs
__device__ inline unsigned mask_byte(unsigned block, unsigned position, unsigned turn, unsigned purpose,
                                     unsigned key_0, unsigned key_1, unsigned drop_below) {
    const Words bits = philox_4x32_10({{block, position, turn, purpose}}, key_0, key_1);
    unsigned byte = 0;
    for (unsigned pair = 0; pair < 4; ++pair) {
        const unsigned low = bits.word[pair] & 0xFFFFu, high = bits.word[pair] >> 16;
        byte |= (unsigned(low >= drop_below) | unsigned(high >= drop_below) << 1) << (2 * pair);
    }
    return byte;
}
