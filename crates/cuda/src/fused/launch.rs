//! The two launches of a fused step. Making a launch is `unsafe`: its arguments are held against what the kernels of
//! `kernels/fused_step.cu` read and write here, and nowhere else.
#![allow(unsafe_code)]

use glassbox_engine::random::{Purpose, Stream};

use super::FusedStep;
use crate::device::{Arg, Buffer, Launch};
use crate::kernels::Series;
use crate::step::Data;

/// Weights, and rows at once, of a block of `fused_update`.
const UPDATE: (u32, u32) = (32, 8);

impl FusedStep {
    /// `fused_gradient`: each window's loss, and the sums of the gradient of each block.
    pub(super) fn launch_gradient(&self, data: &Data, within: u32) -> Launch {
        let (x_len, y_len) = self.sample;
        require_series(&data.x, x_len);
        require_series(&data.y, y_len);
        let ([key_0, key_1], _) = Stream::new(self.seed, Purpose::Dropout, 0, 0).words();
        let mut args = vec![self.buffers.control.arg(), Arg::U32(within)];
        args.extend([
            data.order.as_ref().map_or(Arg::Null, Buffer::arg),
            Arg::U32(data.order.is_some().into()),
        ]);
        for series in [&data.x, &data.y] {
            args.extend([series.values.arg(), Arg::U32(word(series.hop))]);
        }
        args.extend([self.buffers.weights.arg(), Arg::U32(key_0), Arg::U32(key_1)]);
        args.extend([self.partials.arg(), data.losses.arg()]);
        let (grid, block) = ([word(self.blocks), 1, 1], [word(self.threads), 1, 1]);
        // SAFETY: the series have every sample that there is, and the order names those only, as the session sees
        // to; a loss for each sample of the epoch; a row of sums for each block, and all weights. The kernel was compiled for the plan's shapes and takes this much shared memory.
        unsafe { Launch::new(&self.gradient, grid, block, word(self.shared_bytes), args) }
    }

    /// `fused_update`: the gradient and the mean loss of the batch, and Adam's step if it is to be taken.
    pub(super) fn launch_update(&self, data: &Data, within: u32, take_step: bool) -> Launch {
        let [m, v] = self.buffers.slots.as_slice() else { panic!("Adam keeps two slots") };
        let weights = self.buffers.weights.len();
        for slot in [m, v, &self.buffers.gradient] {
            assert!(slot.len() >= weights, "a gradient and two moments a weight");
        }
        assert!(self.partials.len() >= self.blocks * weights, "sums of all blocks");
        let mut args = vec![self.buffers.control.arg(), Arg::U32(within)];
        args.extend([self.partials.arg(), data.losses.arg(), Arg::U32(word(self.blocks))]);
        args.extend([self.buffers.gradient.arg(), data.means.arg(), Arg::U32(take_step.into())]);
        args.extend([&data.alphas, &self.buffers.weights, m, v].map(Buffer::arg));
        let adam = [1.0 - self.adam.beta_1, 1.0 - self.adam.beta_2, self.adam.epsilon];
        args.push(Arg::Bytes(adam.iter().flat_map(|factor| (*factor as f32).to_le_bytes()).collect()));
        let (columns, rows) = UPDATE;
        let grid = [word(weights).div_ceil(columns).max(1), 1, 1];
        // SAFETY: as above; and a mean and an alpha for each batch of the epoch.
        unsafe { Launch::new(&self.update, grid, [columns, rows, 1], 0, args) }
    }
}

pub(super) fn require_series(series: &Series, len: usize) {
    let used = series.samples.checked_sub(1).map_or(0, |last| last * series.hop + len);
    assert!(series.values.len() >= used, "a series has all its samples");
}

pub(super) fn word(n: usize) -> u32 {
    u32::try_from(n).unwrap_or_else(|_| panic!("{n} is no 32-bit number"))
}
