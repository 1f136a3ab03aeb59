// CUDA without a GPU: enough of the language, as C++17, that a kernel can be run, checked and stepped through.
//
// A kernel file is compiled as C++ with -DGLASSBOX_HOST; "dialect.cuh" then includes this. Each thread of a block
// is a fiber: it runs until it waits at a barrier, then the next one runs. Blocks follow one another. So all is
// deterministic, and a debugger sees one thread of control:
//
//     (gdb) break fused_step.cu:120 if blockIdx.x == 3 && threadIdx.x == 17
//     (gdb) break shim::fail          stops where a check failed, with the kernel's own frames above
//
// What is checked, beyond what a GPU would do:
//
//   bounds      each index into device memory and shared memory, and the alignment of 16-byte accesses
//   defined     what is read has been written, since the buffer was made or since the block began
//   barriers    __syncthreads is reached by all threads of the block, at one and the same place; none has left
//   lanes       a shuffle, vote or __syncwarp finds all lanes that its mask names, and reads from none else
//   races       two threads touch the same four bytes, at least one writes, and no barrier lies between them;
//               in device memory, two blocks do so within one launch
//   launch      as many arguments as parameters, pointers that are device memory, no more threads and shared
//               memory than the device has
//
// The first fault ends the launch with a message that names block and thread; the loader adds the kernel.
//
// What it is not: it knows nothing of time, of coalescing or of banks; threads of a warp do not run in lockstep;
// of numbers smaller than four bytes, definedness and races are known only for the four bytes together.
//
//   builtins.hpp  vector types, arithmetic
//   fibers.hpp    threads, blocks, barriers, warps
//   checked.hpp   pointers that check
//   launch.hpp    arguments, and the way in from outside

#pragma once

#include "builtins.hpp"
#include "fibers.hpp"
#include "checked.hpp"
#include "launch.hpp"
