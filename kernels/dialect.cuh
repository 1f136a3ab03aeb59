// What a kernel may say of memory, so that the same source is CUDA C++ for a GPU and C++ for a debugger.
//
// A kernel here names its pointers by what it does with them:
//
//     In<T>      a buffer in device memory that is read
//     Out<T>     one that is written, and not read before
//     InOut<T>   one that is read and written
//     Shared<T>  a piece of the block's shared memory
//
// For a GPU these are plain pointers. Compiled for the host (host/include/shim.hpp) they check each access:
// its bounds, that what is read was written, and that no two threads meet without a barrier. For that reason
//
//   * an element is read into a typed variable, `const float v = x[i]`, never `auto`;
//   * eight and sixteen bytes at a time go through load2, load4 and store4;
//   * shared memory is declared by SHARED or DYNAMIC_SHARED, and indexed in one dimension.
//
// Sums that should be fused multiply-adds say fmaf: then both compilers round alike.

#pragma once

#ifdef GLASSBOX_HOST

#include "shim.hpp"

#else

template <class T>
using In = const T* __restrict__;
template <class T>
using Out = T* __restrict__;
template <class T>
using InOut = T* __restrict__;
template <class T>
using Shared = T*;

// An array of `count` elements in shared memory; `count` is a constant.
#define SHARED(T, name, count) __shared__ __align__(16) T name[count]

// All of the shared memory that the launch asked for, beyond that of SHARED. One type a file.
#define DYNAMIC_SHARED(T, name)                  \
    extern __shared__ float4 dynamic_shared_[]; \
    T* const name = reinterpret_cast<T*>(dynamic_shared_)

// Elements i to i + 3 in one access; i is a multiple of 4, the buffer begins at a multiple of 16 bytes.
__device__ __forceinline__ float4 load4(const float* x, size_t i) {
    return *reinterpret_cast<const float4*>(x + i);
}
// Elements i and i + 1; i is a multiple of 2.
__device__ __forceinline__ float2 load2(const float* x, size_t i) {
    return *reinterpret_cast<const float2*>(x + i);
}
// The number itself, of which the compiler then knows nothing. What is computed from it stays where it is, instead of
// being computed once before a loop and kept in registers that are not there.
__device__ __forceinline__ unsigned opaque(unsigned n) {
    asm volatile("" : "+r"(n));
    return n;
}

__device__ __forceinline__ void store4(float* x, size_t i, float4 v) {
    *reinterpret_cast<float4*>(x + i) = v;
}

#endif
