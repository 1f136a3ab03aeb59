// Pointers into device and shared memory that look at every access.

#pragma once

#include <type_traits>

#include "fibers.hpp"

namespace shim {

// Who has read a word since nothing could race with it.
enum Readers : uint8_t { OneThread, OneWarp, OneBlock, ManyBlocks };

// The element of a region at which a fault is, for messages.
struct Where {
    const Region* region;
    int64_t element;
    size_t size;
};

[[noreturn]] __attribute__((noinline)) inline void fail_bounds(const Where& at, const char* what) {
    if (at.region == nullptr) fail("%s element %lld through a null pointer", what, (long long)at.element);
    fail("%s element %lld of %s, which has %llu of %zu bytes", what, (long long)at.element, at.region->name,
         (unsigned long long)(at.region->bytes / at.size), at.size);
}

[[noreturn]] __attribute__((noinline)) inline void fail_race(const Where& at, const char* what, const char* other,
                                                             uint32_t other_block, uint16_t other_thread) {
    char who[96];
    const unsigned number = other_thread - 1u;
    if (other_block == block->number && other_thread == 0) {
        snprintf(who, sizeof who, "some other thread");
    } else if (other_thread == 0) {
        snprintf(who, sizeof who, "some other block");
    } else if (other_block != block->number) {
        snprintf(who, sizeof who, "block number %u", other_block);
    } else {
        const uint3 t = block->threads[number].index;
        snprintf(who, sizeof who, "thread (%u, %u, %u)", t.x, t.y, t.z);
    }
    fail("a race: it %s element %lld of %s, which %s has %s, and no barrier lies between", what, (long long)at.element,
         at.region->name, who, other);
}

// Whether an access of this block at `epoch`, and of this thread's warp at `turn`, comes before this moment for
// certain.
inline bool ordered(const Thread& self, uint32_t in_block, uint64_t epoch, uint32_t turn, bool same_warp) {
    if (epoch < block->launch_epoch) return true;
    if (in_block != block->number) return false;
    if (epoch < block->epoch) return true;
    return same_warp && turn < block->turns[self.warp()];
}

// Fails if another thread's write of a word may come at the same time as this access.
inline void require_written_before(const Where& at, const Access& a, bool atomic, const char* what) {
    const Thread& self = *block->running;
    const bool own_write = a.writer == self.number + 1 && a.write_block == block->number;
    if (a.writer != 0 && !own_write && !(atomic && a.atomic) &&
        !ordered(self, a.write_block, a.write_epoch, a.write_turn, (a.writer - 1u) / 32 == self.warp())) {
        fail_race(at, what, "written", a.write_block, a.writer);
    }
}

inline void note_read(const Where& at, size_t word, bool atomic) {
    const Thread& self = *block->running;
    Access& a = at.region->accesses[word];
    const uint16_t me = uint16_t(self.number + 1);
    if (at.region->defined[word] == 0) {
        fail("reads element %lld of %s, which nothing has written", (long long)at.element, at.region->name);
    }
    require_written_before(at, a, atomic, "reads");
    // Joins the readers there are, if they still count.
    const uint32_t turn = block->turns[self.warp()];
    const bool current = a.reader != 0 && a.read_epoch >= block->launch_epoch &&
                         (a.read_block != block->number || a.readers == ManyBlocks || a.read_epoch == block->epoch);
    uint8_t readers = OneThread;
    if (current) {
        const unsigned warp = (a.reader - 1u) / 32;
        readers = a.readers;
        if (a.readers == ManyBlocks || a.read_block != block->number) {
            readers = ManyBlocks;
        } else if (a.readers == OneBlock || warp != self.warp()) {
            readers = OneBlock;
        } else if (a.reader != me) {
            readers = OneWarp;
        }
    }
    a.readers = readers;
    a.reader = me;
    a.read_epoch = block->epoch;
    a.read_block = block->number;
    a.read_turn = turn;
}

inline void note_write(const Where& at, size_t word, bool atomic) {
    const Thread& self = *block->running;
    Access& a = at.region->accesses[word];
    const uint16_t me = uint16_t(self.number + 1);
    require_written_before(at, a, atomic, "writes");
    const bool own_read = a.reader == me && a.read_block == block->number && a.readers == OneThread;
    if (a.reader != 0 && !own_read && !(atomic && a.atomic)) {
        const bool same_warp = a.readers <= OneWarp && (a.reader - 1u) / 32 == self.warp();
        const bool many = a.readers == ManyBlocks && a.read_epoch >= block->launch_epoch;
        if (many || !ordered(self, a.read_block, a.read_epoch, a.read_turn, same_warp)) {
            const bool one = a.readers == OneThread || (a.readers == OneWarp && a.reader != me);
            fail_race(at, "writes", "read", many ? block->number + 1 : a.read_block, one ? a.reader : uint16_t(0));
        }
    }
    at.region->defined[word] = 1;
    a.writer = me;
    a.write_block = block->number;
    a.write_epoch = block->epoch;
    a.write_turn = block->turns[self.warp()];
    a.atomic = atomic;
}

// Looks at `count` elements of `size` bytes, the first at byte `offset` of the region, and gives their place.
template <bool writes>
inline char* access(const Region* region, int64_t offset, size_t size, size_t count, bool atomic = false) {
    const Where at{region, offset / int64_t(size), size};
    if (region == nullptr || offset < 0 || uint64_t(offset) + size * count > region->bytes) {
        fail_bounds(at, writes ? "writes" : "reads");
    }
    char* place = region->base + offset;
    if (reinterpret_cast<uintptr_t>(place) % (count * size) != 0) {
        fail("an access of %zu bytes to element %lld of %s, which does not lie at a multiple of as many", count * size,
             (long long)at.element, region->name);
    }
    for (size_t word = size_t(offset) / 4; word <= (size_t(offset) + size * count - 1) / 4; word++) {
        if (writes) {
            note_write(at, word, atomic);
        } else {
            note_read(at, word, atomic);
        }
    }
    return place;
}

template <class T>
class Checked;

// An element that can be written: what `x[i]` is.
template <class T>
class Element {
    const Region* region;
    int64_t offset;  // in bytes

  public:
    Element(const Region* region, int64_t offset) : region(region), offset(offset) {}
    Element(const Element&) = default;

    operator T() const {
        T value;
        memcpy(&value, access<false>(region, offset, sizeof(T), 1), sizeof(T));
        return value;
    }
    const Element& operator=(T value) const {
        memcpy(access<true>(region, offset, sizeof(T), 1), &value, sizeof(T));
        return *this;
    }
    const Element& operator=(const Element& other) const { return *this = T(other); }
    const Element& operator+=(T value) const { return *this = T(*this) + value; }
    const Element& operator*=(T value) const { return *this = T(*this) * value; }
    Checked<T> operator&() const;

    // What an atomic function does: nobody comes between.
    template <class F>
    T exchange(F change) const {
        T value;
        memcpy(&value, access<false>(region, offset, sizeof(T), 1, true), sizeof(T));
        const T changed = change(value);
        memcpy(access<true>(region, offset, sizeof(T), 1, true), &changed, sizeof(T));
        return value;
    }
};

// A pointer to elements of a region.
template <class T>
class Checked {
    using Bare = std::remove_const_t<T>;
    static_assert(std::is_trivially_copyable<Bare>::value, "memory holds plain data");
    const Region* region = nullptr;
    int64_t offset = 0;  // in bytes
    template <class>
    friend class Checked;
    template <bool writes, class U>
    friend char* place(const Checked<U>&, int64_t, size_t);

  public:
    Checked() = default;
    Checked(const Region* region, int64_t offset) : region(region), offset(offset) {}
    template <class U, class = std::enable_if_t<std::is_same<const U, T>::value>>
    Checked(const Checked<U>& other) : region(other.region), offset(other.offset) {}

    auto operator[](int64_t i) const {
        if constexpr (std::is_const<T>::value) {
            return Bare(Element<Bare>(region, offset + i * int64_t(sizeof(T))));
        } else {
            return Element<T>(region, offset + i * int64_t(sizeof(T)));
        }
    }
    auto operator*() const { return (*this)[0]; }
    Checked operator+(int64_t n) const { return {region, offset + n * int64_t(sizeof(T))}; }
};

template <class T>
Checked<T> Element<T>::operator&() const {
    return {region, offset};
}

template <bool writes, class T>
char* place(const Checked<T>& x, int64_t i, size_t count) {
    return access<writes>(x.region, x.offset + i * int64_t(sizeof(T)), sizeof(T), count);
}

// The block's piece of shared memory that a declaration makes: the first thread to come makes it.
inline const Region* shared_piece(const void* declaration, const char* name, size_t bytes) {
    for (const SharedPiece& piece : block->pieces) {
        if (piece.declaration == declaration) return &piece.region;
    }
    if (declaration != nullptr) {
        block->static_shared += (bytes + 15) / 16 * 16;
        if (block->static_shared > 48 * 1024) {
            fail("%zu bytes of shared memory by declaration, %s included, of at most 49152: ask for more at the launch",
                 block->static_shared, name);
        }
        if (block->static_shared + block->launch->dynamic_shared > block->launch->shared_limit) {
            fail("%zu bytes of shared memory by declaration, %s included, and %u at the launch, of at most %u in all",
                 block->static_shared, name, block->launch->dynamic_shared, block->launch->shared_limit);
        }
    }
    block->pieces.emplace_back(declaration, name, bytes);
    return &block->pieces.back().region;
}

}  // namespace shim

template <class T>
using In = shim::Checked<const T>;
template <class T>
using Out = shim::Checked<T>;
template <class T>
using InOut = shim::Checked<T>;
template <class T>
using Shared = shim::Checked<T>;

#define SHARED(T, name, count)         \
    static const char name##_here = 0; \
    const Shared<T> name(shim::shared_piece(&name##_here, #name, sizeof(T) * (count)), 0)

#define DYNAMIC_SHARED(T, name) \
    const Shared<T> name(shim::shared_piece(nullptr, #name, shim::block->launch->dynamic_shared), 0)

inline unsigned opaque(unsigned n) { return n; }

inline float4 load4(const In<float>& x, size_t i) {
    float4 v;
    memcpy(&v, shim::place<false>(x, int64_t(i), 4), sizeof v);
    return v;
}
inline float2 load2(const In<float>& x, size_t i) {
    float2 v;
    memcpy(&v, shim::place<false>(x, int64_t(i), 2), sizeof v);
    return v;
}
inline void store4(const Out<float>& x, size_t i, float4 v) {
    memcpy(shim::place<true>(x, int64_t(i), 4), &v, sizeof v);
}

// Whole numbers only: sums of floats depend on who comes first.
template <class T>
T atomicAdd(const shim::Checked<T>& x, T value) {
    static_assert(std::is_integral<T>::value, "atomic sums of floating-point numbers differ from run to run");
    return (*x).exchange([=](T old) { return T(old + value); });
}
template <class T>
T atomicOr(const shim::Checked<T>& x, T value) {
    return (*x).exchange([=](T old) { return T(old | value); });
}
