//! Counts what an input costs: steps and bytes, the same ones on every machine.
//!
//! **Steps** are edges of the control flow, counted where the compiler was told to call
//! `__sanitizer_cov_trace_pc_guard` at each of them (`-Cpasses=sancov-module`; `tests/fuzz/run` has the flags). In another build
//! none are counted. The standard library is not compiled with these flags, so its own loops count nothing.
//! **Bytes** are those of the heap, at their highest, above what was allocated before.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};

/// An allocation beyond this fails, as on a small machine: what asks first is refused, what does not aborts.
const LARGEST: usize = 1 << 28;
/// An input that takes more steps than this ends the process: a loop that does not end looks like that.
const ENDLESS: u64 = 20_000_000_000;
/// Edges that are told apart.
const EDGES: usize = 1 << 20;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static STEPS: AtomicU64 = AtomicU64::new(0);
static GUARDS: AtomicU32 = AtomicU32::new(0);
static SEEN: [AtomicBool; EDGES] = [const { AtomicBool::new(false) }; EDGES];
static NEW: AtomicU32 = AtomicU32::new(0);

/// The cost of some work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Edges of the control flow; 0 in a build that does not count them.
    pub steps: u64,
    /// Bytes of the heap at their highest.
    pub bytes: usize,
}

/// Does the work and measures it. Whatever any thread does meanwhile is counted too.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, Usage) {
    let live = LIVE.load(Relaxed);
    PEAK.store(live, Relaxed);
    STEPS.store(0, Relaxed);
    let result = work();
    let usage = Usage { steps: STEPS.load(Relaxed), bytes: PEAK.load(Relaxed).saturating_sub(live) };
    (result, usage)
}

/// The number of edges that were walked for the first time since this was last asked.
pub fn new_edges() -> u32 {
    NEW.swap(0, Relaxed)
}

/// Returns whether this build counts steps.
pub fn counts_steps() -> bool {
    GUARDS.load(Relaxed) > 0
}

struct Metered;

#[global_allocator]
static ALLOCATOR: Metered = Metered;

fn grow(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(live, Relaxed);
}

// SAFETY: all calls are passed on to the system's allocator as they are, but for those that fail.
unsafe impl GlobalAlloc for Metered {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST {
            return std::ptr::null_mut();
        }
        grow(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST {
            return std::ptr::null_mut();
        }
        grow(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > LARGEST {
            return std::ptr::null_mut();
        }
        grow(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Numbers the edges of a module, from 1; the compiler has each module call it before `main`.
///
/// # Safety
/// `start..stop` are the guards of a module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __sanitizer_cov_trace_pc_guard_init(start: *mut u32, stop: *mut u32) {
    let mut guard = start;
    while guard < stop {
        // SAFETY: it lies within the module's guards.
        unsafe {
            if *guard == 0 {
                *guard = GUARDS.fetch_add(1, Relaxed) + 1;
            }
            guard = guard.add(1);
        }
    }
}

/// Counts an edge; the compiler has each edge call it.
///
/// # Safety
/// `guard` is one of the guards that were numbered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __sanitizer_cov_trace_pc_guard(guard: *const u32) {
    if STEPS.fetch_add(1, Relaxed) == ENDLESS {
        std::process::abort();
    }
    // SAFETY: as the caller says.
    let edge = unsafe { *guard } as usize;
    let seen = &SEEN[edge % EDGES];
    if !seen.load(Relaxed) {
        seen.store(true, Relaxed);
        NEW.fetch_add(1, Relaxed);
    }
}
