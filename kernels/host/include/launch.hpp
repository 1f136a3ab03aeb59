// Arguments, and the way in: one exported function for each kernel, called as cuLaunchKernel would be.

#pragma once

#include <tuple>
#include <utility>

#include "checked.hpp"

namespace shim {

// An argument as a kernel's parameter: bytes as they are, a device address as a pointer that checks.
template <class T>
struct Parameter {
    static_assert(!std::is_pointer<T>::value, "a kernel's pointers are In<T>, Out<T> or InOut<T>");
    static constexpr uint64_t bytes = sizeof(T);
    static T make(size_t position) {
        T value;
        memcpy(&value, block->launch->args[position], sizeof value);
        return value;
    }
};
template <class T>
struct Parameter<Checked<T>> {
    static constexpr uint64_t bytes = sizeof(uint64_t);
    static Checked<T> make(size_t position) {
        const uint64_t address = Parameter<uint64_t>::make(position);
        if (address == 0) return {};
        for (uint64_t i = 0; i < block->launch->buffer_count; i++) {
            const Region& buffer = block->launch->buffers[i];
            const uint64_t offset = address - buffer.address;
            if (address >= buffer.address && offset < buffer.bytes) return {&buffer, int64_t(offset)};
        }
        fail("argument %zu is no address in device memory, or in memory that was freed", position);
    }
};

template <class... Parameters, size_t... I>
std::tuple<Parameters...> arguments_of(std::index_sequence<I...>) {
    return {Parameter<Parameters>::make(I)...};
}

// Runs all blocks, one after the other. 0, or 1 with a message.
template <class... Parameters>
int launch(void (*kernel)(Parameters...), const Launch* launch) {
    Block b;
    b.launch = launch;
    b.launch_epoch = *launch->epoch + 1;
    block = &b;
    struct Leave {
        ~Leave() { block = nullptr; }
    } leave;
    if (_setjmp(b.scheduler) != 0) return 1;
    const uint64_t threads = uint64_t(launch->block[0]) * launch->block[1] * launch->block[2];
    const uint64_t blocks = uint64_t(launch->grid[0]) * launch->grid[1] * launch->grid[2];
    if (threads == 0 || threads > 1024 || blocks == 0 || launch->grid[1] > 65535 || launch->grid[2] > 65535) {
        fail("a grid of (%u, %u, %u) blocks of (%u, %u, %u) threads cannot be launched", launch->grid[0], launch->grid[1],
             launch->grid[2], launch->block[0], launch->block[1], launch->block[2]);
    }
    if (launch->dynamic_shared > launch->shared_limit) {
        fail("%u bytes of shared memory at the launch, of at most %u", launch->dynamic_shared, launch->shared_limit);
    }
    if (launch->arg_count != sizeof...(Parameters)) {
        fail("%llu arguments for %zu parameters", (unsigned long long)launch->arg_count, sizeof...(Parameters));
    }
    const auto arguments = arguments_of<Parameters...>(std::index_sequence_for<Parameters...>());
    b.body = [&] { std::apply(kernel, arguments); };
    gridDim = {launch->grid[0], launch->grid[1], launch->grid[2]};
    blockDim = {launch->block[0], launch->block[1], launch->block[2]};
    b.threads.resize(threads);
    b.turns.resize((threads + 31) / 32);
    for (unsigned i = 0; i < threads; i++) {
        Thread& thread = b.threads[i];
        thread.number = i;
        thread.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
    }
    const Stacks& stacks = stacks_for(threads);
    if (!stacks.ok(threads)) fail("no memory for the stacks of %llu threads", (unsigned long long)threads);
    for (uint64_t i = 0; i < blocks && !b.failed; i++) {
        blockIdx = {unsigned(i % gridDim.x), unsigned(i / gridDim.x % gridDim.y), unsigned(i / gridDim.x / gridDim.y)};
        b.number = unsigned(i);
        b.epoch = ++*launch->epoch;
        b.pieces.clear();
        b.static_shared = 0;
        for (Thread& thread : b.threads) thread.state = State::Ready;
        run_block(stacks);
    }
    return b.failed;
}

// What is exported of a kernel: how it is launched, and the bytes of each of its parameters.
struct Kernel {
    int (*launch)(const Launch*);
    const uint64_t* parameters;
    uint64_t count;
};

template <class... Parameters>
Kernel exported(void (*)(Parameters...), int (*launch)(const Launch*)) {
    static const uint64_t bytes[] = {Parameter<Parameters>::bytes..., 0};
    return {launch, bytes, sizeof...(Parameters)};
}

}  // namespace shim

#define SHIM_EXPORT(kernel)                                                                      \
    extern "C" __attribute__((visibility("default"))) shim::Kernel shim_##kernel() {             \
        return shim::exported(kernel, [](const shim::Launch* l) { return shim::launch(kernel, l); }); \
    }
