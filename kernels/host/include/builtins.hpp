// Words of CUDA C++ that are no pointers and no barriers, those that the kernels use: qualifiers, vector types,
// arithmetic.

#pragma once

#include <math.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

constexpr int warpSize = 32;

inline unsigned __float_as_uint(float a) {
    unsigned bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
inline float __uint_as_float(unsigned bits) {
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

template <class T>
T min(T a, T b) {
    return b < a ? b : a;
}
