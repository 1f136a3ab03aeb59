//! The training loop does not allocate.
//!
//! This test is alone in its binary, because the counter counts the allocations of all threads. The path of
//! `matrixmultiply` is omitted, because that crate allocates a buffer for each product.
#![allow(unsafe_code)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use glassbox_cpu::{Cpu, Simd};
use glassbox_engine::backend::{Backend, Dataset, Epoch, State};
use glassbox_engine::layers::{
    Activation, BatchNormalization, Cropping1D, Dense, Flatten, GRU, LSTM, RepeatVector, TimeDistributed,
    UpSampling1D, ZeroPadding1D,
};
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::samples::Samples;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all calls are passed on to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: guaranteed by the caller.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: guaranteed by the caller.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A code without steps, and layers that make windows of it again.
fn rearranged() -> Network {
    let mut model = Sequential::new((288, 1));
    model.add(Flatten).unwrap().add(Dense::new(8).activation(Activation::Relu)).unwrap();
    model.add(RepeatVector::new(96)).unwrap().add(UpSampling1D::new(3)).unwrap();
    model.add(ZeroPadding1D::new(2, 1)).unwrap().add(Cropping1D::new(1, 2)).unwrap();
    model.add(TimeDistributed::new(Dense::new(1))).unwrap();
    model.into()
}

/// Recurrences behind a code, in groups of windows.
fn recurrent() -> Network {
    let mut model = Sequential::new((288, 1));
    model.add(LSTM::new(3)).unwrap().add(RepeatVector::new(288)).unwrap();
    model.add(LSTM::new(5).return_sequences(true)).unwrap();
    model.add(GRU::new(3).return_sequences(true)).unwrap();
    model.add(GRU::new(1).return_sequences(true).reset_after(false)).unwrap();
    model.into()
}

/// Samples that meet at barriers, with a recurrence between two of them.
fn normalised() -> Network {
    let mut model = Sequential::new((288, 1));
    model.add(BatchNormalization::new()).unwrap().add(Dense::new(3)).unwrap();
    model.add(BatchNormalization::new()).unwrap().add(LSTM::new(3).return_sequences(true)).unwrap();
    model.add(BatchNormalization::new()).unwrap().add(Dense::new(1)).unwrap();
    model.into()
}

#[test]
fn an_epoch_allocates_nothing() {
    let models = [common::tutorial(), rearranged(), recurrent(), normalised()];
    let series = common::series(800);
    let data = Dataset::autoencoder(Samples::windows(&series, 288, 1).unwrap());
    let order: Vec<u32> = (0..data.len() as u32).collect();
    let paths = Simd::under_test().unwrap();
    for simd in paths.into_iter().filter(|simd| *simd != Simd::MatrixMultiply) {
        for (model, threads) in models.iter().flat_map(|model| [(model, 1), (model, 2)]) {
            let cpu = Cpu::with_simd(Some(threads), simd).unwrap();
            let mut session = cpu.session(common::plan(model, 128)).unwrap();
            session.set_state(&State::new(model.layout().initial(1), &Optimizer::default())).unwrap();
            let mut epoch = |epoch| {
                let epoch = Epoch { epoch, order: &order, batch_size: 128 };
                session.train_epoch(&data, &epoch, &mut |_| {}).unwrap()
            };
            // The first epochs set up what each thread keeps.
            epoch(0);
            epoch(1);
            let before = ALLOCATIONS.load(Ordering::SeqCst);
            epoch(2);
            epoch(3);
            let after = ALLOCATIONS.load(Ordering::SeqCst);
            assert_eq!(after - before, 0, "allocations in two epochs: {simd}, {threads} threads");
        }
    }
}
