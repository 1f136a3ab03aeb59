// The threads of a block as fibers of one host thread, and all that they can wait for.
//
// A fiber is started by makecontext and then switched by _setjmp and _longjmp, which make no system call. The
// scheduler runs each fiber until it waits or has left the kernel; then it looks at what they wait for. Where
// nothing can go on, somebody waits for a thread that will not come: that is reported.

#pragma once

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdarg>
#include <deque>
#include <functional>
#include <vector>

#include "builtins.hpp"

// The position of the thread that is running.
static thread_local uint3 threadIdx, blockIdx;
static thread_local dim3 blockDim, gridDim;

namespace shim {

enum class State { Ready, AtBlockBarrier, AtWarp, Exited };
enum class WarpOp { Sync, Shuffle };

// A CUDA thread.
struct Thread {
    jmp_buf context;
    bool started = false;
    State state = State::Ready;
    uint3 index{};
    unsigned number = 0;  // within the block
    const char* file = "";  // where it waits
    int line = 0;
    // At a warp operation: what it brings, whom it names, what it gets.
    WarpOp op = WarpOp::Sync;
    unsigned mask = 0;
    unsigned source = 0;
    uint64_t value = 0, result = 0;

    unsigned warp() const { return number / 32; }
    unsigned lane() const { return number % 32; }
};

// A piece of memory, with what is known of each of its four-byte words. The host has the same two structures.
struct Access {
    uint64_t write_epoch, read_epoch;
    uint32_t write_block, read_block;
    uint32_t write_turn, read_turn;
    uint16_t writer, reader;  // 1 + the thread's number; 0 for none
    uint8_t readers;          // see Readers
    uint8_t atomic;           // the write was one
    uint16_t unused;
};
static_assert(sizeof(Access) == 40, "the loader allocates as many bytes");

struct Region {
    char* base;
    uint64_t bytes;
    uint8_t* defined;
    Access* accesses;
    const char* name;
    uint64_t address = 0;  // of a buffer in device memory, by which kernels' arguments know it
};

// What the host asks for, and where the answer goes. The loader has the same structure.
struct Launch {
    uint32_t grid[3], block[3];
    uint32_t dynamic_shared, shared_limit;
    const Region* buffers;
    uint64_t buffer_count;
    void* const* args;
    uint64_t arg_count;
    uint64_t* epoch;  // counts barriers, over all launches
    char* message;
    uint64_t message_bytes;
};

struct SharedPiece {
    const void* declaration;
    Region region;
    std::vector<float4> memory;  // begins at a multiple of 16, and holds NaN, should a fault ever be read on
    std::vector<uint8_t> defined;
    std::vector<Access> accesses;

    SharedPiece(const void* declaration, const char* name, size_t bytes)
        : declaration(declaration),
          memory((bytes + 15) / 16, {NAN, NAN, NAN, NAN}),
          defined((bytes + 3) / 4),
          accesses((bytes + 3) / 4) {
        region = {reinterpret_cast<char*>(memory.data()), bytes, defined.data(), accesses.data(), name};
    }
    SharedPiece(SharedPiece&&) = default;
};

// The block that is running: there is one at a time in each host thread.
struct Block {
    const Launch* launch;
    std::function<void()> body;
    uint64_t launch_epoch;  // the first of this launch
    uint64_t epoch = 0;     // the present one: between two barriers it stands still
    std::vector<uint32_t> turns;  // of each warp: counts its __syncwarp
    unsigned number = 0;          // within the grid
    std::vector<Thread> threads;
    Thread* running = nullptr;
    jmp_buf scheduler;
    bool failed = false;
    std::deque<SharedPiece> pieces;  // pointed to: they must not move
    size_t static_shared = 0;
};
static thread_local Block* block = nullptr;

// Ends the launch. Stop here in a debugger, and go up to the kernel.
[[noreturn]] __attribute__((noinline, format(printf, 1, 2))) inline void fail(const char* format, ...) {
    Block& b = *block;
    int n = 0;
    if (b.running != nullptr) {
        const uint3 t = b.running->index;
        n = snprintf(b.launch->message, b.launch->message_bytes, "block (%u, %u, %u), thread (%u, %u, %u): ",
                     blockIdx.x, blockIdx.y, blockIdx.z, t.x, t.y, t.z);
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(b.launch->message + n, b.launch->message_bytes - n, format, arguments);
    va_end(arguments);
    b.failed = true;
    _longjmp(b.scheduler, 1);
}

// Lets the others run, until the scheduler says that what this thread waits for has come.
__attribute__((noinline)) inline void wait(State state, const char* file, int line) {
    Thread& self = *block->running;
    self.state = state;
    self.file = file;
    self.line = line;
    if (_setjmp(self.context) == 0) _longjmp(block->scheduler, 1);
}

inline void fiber() {
    for (;;) {
        block->body();
        wait(State::Exited, "", 0);
    }
}

// Stacks for all threads of a block, each with a page below it that must not be touched.
class Stacks {
    static constexpr size_t guard = 4096, size = 256 * 1024;
    char* memory;
    size_t count;

  public:
    explicit Stacks(size_t count) : count(count) {
        void* p = mmap(nullptr, count * (guard + size), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        memory = p == MAP_FAILED ? nullptr : static_cast<char*>(p);
        for (size_t i = 0; memory != nullptr && i < count; i++) mprotect(memory + i * (guard + size), guard, PROT_NONE);
    }
    ~Stacks() {
        if (memory != nullptr) munmap(memory, count * (guard + size));
    }
    bool ok(size_t needed) const { return memory != nullptr && count >= needed; }
    stack_t get(size_t i) const {
        stack_t stack{};
        stack.ss_sp = memory + i * (guard + size) + guard;
        stack.ss_size = size;
        return stack;
    }
    Stacks(const Stacks&) = delete;
};

// Stacks for so many threads. They are kept for the next launch: to map and unmap them takes longer than most
// launches do.
inline const Stacks& stacks_for(size_t count) {
    static thread_local std::unique_ptr<Stacks> kept;
    if (kept == nullptr || !kept->ok(count)) kept = std::make_unique<Stacks>(count);
    return *kept;
}

// Switches to a thread, and comes back when it waits.
__attribute__((noinline)) inline void resume(Thread& thread, const Stacks& stacks) {
    block->running = &thread;
    threadIdx = thread.index;
    if (_setjmp(block->scheduler) == 0) {
        if (thread.started) _longjmp(thread.context, 1);
        thread.started = true;
        ucontext_t start;
        getcontext(&start);
        start.uc_stack = stacks.get(thread.number);
        start.uc_link = nullptr;
        makecontext(&start, fiber, 0);
        setcontext(&start);
    }
    block->running = nullptr;
}

// Reports on a thread that waits for one that does not come.
[[noreturn]] inline void fail_waiting(Thread& waiting, const Thread& other, const char* what) {
    char text[256] = "has left the kernel";
    if (other.state != State::Exited) {
        const char* at = other.state == State::AtBlockBarrier ? "__syncthreads" : "a warp operation";
        snprintf(text, sizeof text, "waits at %s at %s:%d", at, other.file, other.line);
    }
    block->running = &waiting;
    const uint3 t = other.index;
    fail("waits at %s at %s:%d, but thread (%u, %u, %u) %s", what, waiting.file, waiting.line, t.x, t.y, t.z, text);
}

// Lets the lanes of a warp go on that have found all whom they name. Says whether there were any.
inline bool resolve_warp(unsigned warp) {
    Block& b = *block;
    const size_t first = warp * 32, lanes = b.threads.size() - first < 32 ? b.threads.size() - first : 32;
    bool any = false;
    for (size_t lane = 0; lane < lanes; lane++) {
        Thread& thread = b.threads[first + lane];
        if (thread.state != State::AtWarp) continue;
        bool complete = true;
        for (unsigned other = 0; other < 32; other++) {
            if ((thread.mask >> other & 1) == 0) continue;
            const Thread& named = b.threads[first + other];
            if (named.state == State::Exited || named.state == State::AtBlockBarrier) {
                fail_waiting(thread, named, "a warp operation");
            }
            complete &= named.state == State::AtWarp && named.op == thread.op && named.mask == thread.mask;
        }
        if (!complete) continue;
        const unsigned mask = thread.mask;
        for (unsigned other = 0; other < 32; other++) {
            if ((mask >> other & 1) == 0) continue;
            Thread& named = b.threads[first + other];
            if (named.op == WarpOp::Shuffle) named.result = b.threads[first + named.source].value;
            named.state = State::Ready;
        }
        // It orders memory among all lanes only if it names all.
        const bool all = mask == (lanes == 32 ? ~0u : (1u << lanes) - 1);
        if (thread.op == WarpOp::Sync && all) b.turns[warp]++;
        any = true;
    }
    return any;
}

// Runs all threads of a block to their end.
inline void run_block(const Stacks& stacks) {
    Block& b = *block;
    for (;;) {
        for (Thread& thread : b.threads) {
            if (thread.state == State::Ready) resume(thread, stacks);
            if (b.failed) return;
        }
        size_t exited = 0, at_barrier = 0;
        for (const Thread& thread : b.threads) {
            exited += thread.state == State::Exited;
            at_barrier += thread.state == State::AtBlockBarrier;
        }
        if (exited == b.threads.size()) return;
        // From here on a fault is no thread's own: it comes back to this place.
        if (_setjmp(b.scheduler) != 0) return;
        bool any = false;
        for (unsigned warp = 0; warp < b.turns.size(); warp++) any |= resolve_warp(warp);
        if (any) continue;
        if (at_barrier == b.threads.size()) {
            for (Thread& thread : b.threads) {
                Thread& one = b.threads[0];
                if (thread.line != one.line || strcmp(thread.file, one.file) != 0) fail_waiting(one, thread, "__syncthreads");
                thread.state = State::Ready;
            }
            b.epoch = ++*b.launch->epoch;
            continue;
        }
        for (Thread& thread : b.threads) {
            if (thread.state == State::Exited) continue;
            const bool at_warp = thread.state == State::AtWarp;
            for (const Thread& other : b.threads) {
                const bool named = !at_warp || (other.warp() == thread.warp() && (thread.mask >> other.lane() & 1) == 1);
                const bool there = other.state == thread.state && (!at_warp || (other.op == thread.op && other.mask == thread.mask));
                if (named && !there) fail_waiting(thread, other, at_warp ? "a warp operation" : "__syncthreads");
            }
        }
    }
}

// Waits with the lanes of `mask` until all of them are there.
inline uint64_t warp_op(WarpOp op, unsigned mask, uint64_t value, unsigned source, const char* file, int line) {
    Thread& self = *block->running;
    const size_t in_warp = block->threads.size() - self.warp() * 32;
    if ((mask >> self.lane() & 1) == 0) fail("lane %u is not in its own mask %#x at %s:%d", self.lane(), mask, file, line);
    if (in_warp < 32 && (mask >> in_warp) != 0) {
        fail("the mask %#x names lanes that the block does not have, its last warp has %zu, at %s:%d", mask, in_warp, file, line);
    }
    if (op == WarpOp::Shuffle && (mask >> source & 1) == 0) {
        fail("a shuffle reads lane %u, which is not in its mask %#x, at %s:%d", source, mask, file, line);
    }
    self.op = op;
    self.mask = mask;
    self.value = value;
    self.source = source;
    wait(State::AtWarp, file, line);
    return self.result;
}

template <class T>
T shuffle(unsigned mask, T value, unsigned source, const char* file, int line) {
    static_assert(sizeof(T) <= sizeof(uint64_t), "a shuffle moves up to eight bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = warp_op(WarpOp::Shuffle, mask, bits, source, file, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline unsigned lane() { return block->running->lane(); }

}  // namespace shim

#define SHIM_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(SHIM_HERE) { shim::wait(shim::State::AtBlockBarrier, file, line); }
inline void __syncwarp(unsigned mask = ~0u, SHIM_HERE) { shim::warp_op(shim::WarpOp::Sync, mask, 0, 0, file, line); }

inline unsigned __ballot_sync(unsigned mask, int predicate, SHIM_HERE) {
    unsigned votes = 0;
    for (unsigned lane = 0; lane < 32; lane++) {
        if ((mask >> lane & 1) == 1) votes |= shim::shuffle(mask, unsigned(predicate != 0), lane, file, line) << lane;
    }
    return votes;
}
inline int __any_sync(unsigned mask, int predicate, SHIM_HERE) { return __ballot_sync(mask, predicate, file, line) != 0; }
inline int __all_sync(unsigned mask, int predicate, SHIM_HERE) {
    return __ballot_sync(mask, predicate, file, line) == mask;
}

// Lanes beyond a segment of `width` leave the caller its own value.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize, SHIM_HERE) {
    const unsigned lane = shim::lane();
    return shim::shuffle(mask, value, (lane & ~unsigned(width - 1)) | (unsigned(source) & unsigned(width - 1)), file, line);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = warpSize, SHIM_HERE) {
    const unsigned lane = shim::lane(), within = lane & unsigned(width - 1);
    return shim::shuffle(mask, value, within < by ? lane : lane - by, file, line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = warpSize, SHIM_HERE) {
    const unsigned lane = shim::lane(), within = lane & unsigned(width - 1);
    return shim::shuffle(mask, value, within + by >= unsigned(width) ? lane : lane + by, file, line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int by, int width = warpSize, SHIM_HERE) {
    const unsigned lane = shim::lane(), other = lane ^ unsigned(by);
    return shim::shuffle(mask, value, (other & ~unsigned(width - 1)) > (lane & ~unsigned(width - 1)) ? lane : other, file, line);
}
