//! Heat maps as PNG: a pixel for each value. The opacity of a pixel shows the value's size, so one picture suits light
//! and dark paper; it grows with the root of the value, so that small values are visible.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::theme::{NEGATIVE, POSITIVE};

/// The most blocks of a kernel side by side.
const ABREAST: usize = 16;

/// A grid of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Values in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row by row; `None` is left blank.
    pub values: Vec<Option<f32>>,
}

impl Grid {
    /// A signal, given row by row with shape `(steps, channels)`: steps across, channels down.
    #[must_use]
    pub fn signal(values: &[f32], channels: usize) -> Self {
        let steps = values.len() / channels;
        let at = |channel: usize, step: usize| Some(values[step * channels + channel]);
        let values =
            (0..channels).flat_map(|channel| (0..steps).map(move |step| at(channel, step))).collect();
        Self { width: steps, height: channels, values }
    }

    /// A kernel of three dimensions: for each of `outer` a block with taps across and `inner` down, at most 16 blocks
    /// side by side, with a blank row and column between. `value` is given (tap, inner, outer).
    pub fn blocks(
        taps: usize,
        inner: usize,
        outer: usize,
        value: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let abreast = outer.min(ABREAST);
        let (width, height) = (abreast * (taps + 1) - 1, outer.div_ceil(abreast) * (inner + 1) - 1);
        let at = |y: usize, x: usize| {
            let (block, row, tap) =
                (y / (inner + 1) * abreast + x / (taps + 1), y % (inner + 1), x % (taps + 1));
            (tap < taps && row < inner && block < outer).then(|| value(tap, row, block))
        };
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        Self { width, height, values: places.map(|(y, x)| at(y, x)).collect() }
    }

    /// The largest absolute value.
    #[must_use]
    pub fn largest(&self) -> f32 {
        self.values.iter().flatten().fold(0.0, |largest: f32, value| largest.max(value.abs()))
    }

    /// The picture as a `data:` address; values of size `full` are opaque.
    #[must_use]
    pub fn to_address(&self, full: f32) -> String {
        let full = if full > 0.0 { full } else { 1.0 };
        let pixels: Vec<u8> = self
            .values
            .iter()
            .flat_map(|value| {
                let value = value.unwrap_or(0.0);
                let [r, g, b] = if value < 0.0 { NEGATIVE } else { POSITIVE };
                [r, g, b, (255.0 * (value.abs() / full).min(1.0).sqrt()).round() as u8]
            })
            .collect();
        format!("data:image/png;base64,{}", STANDARD.encode(png(self.width, self.height, &pixels)))
    }
}

/// Each value as a signed byte, in base64: `full` is 127.
#[must_use]
pub fn bytes(values: &[f32], full: f32) -> String {
    let full = if full > 0.0 { full } else { 1.0 };
    let byte = |value: &f32| ((127.0 * (value / full).clamp(-1.0, 1.0)).round() as i8).cast_unsigned();
    let bytes: Vec<u8> = values.iter().map(byte).collect();
    STANDARD.encode(bytes)
}

fn png(width: usize, height: usize, rgba: &[u8]) -> Vec<u8> {
    let mut file = vec![];
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().expect("memory takes every byte");
    writer.write_image_data(rgba).expect("as many pixels as the header says");
    writer.finish().expect("memory takes every byte");
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_lies_with_its_steps_across() {
        // (3 steps, 2 channels)
        let grid = Grid::signal(&[1.0, 10.0, 2.0, 20.0, 3.0, 30.0], 2);
        assert_eq!((grid.width, grid.height), (3, 2));
        let values: Vec<f32> = grid.values.iter().copied().flatten().collect();
        assert_eq!(values, [1.0, 2.0, 3.0, 10.0, 20.0, 30.0]);
    }

    #[test]
    fn blocks_have_a_blank_column_between() {
        let grid = Grid::blocks(2, 1, 2, |tap, inner, outer| (100 * tap + 10 * inner + outer) as f32);
        assert_eq!(grid.values, [Some(0.0), Some(100.0), None, Some(1.0), Some(101.0)]);
        assert_eq!(grid.largest(), 101.0);
        let grid = Grid::blocks(7, 16, 32, |_, _, _| 1.0);
        assert_eq!((grid.width, grid.height), (127, 33));
        assert_eq!(grid.values.iter().flatten().count(), 7 * 16 * 32);
    }

    #[test]
    fn bytes_are_shares_of_the_largest() {
        assert_eq!(STANDARD.decode(bytes(&[0.0, 1.0, 2.0, -1.0], 2.0)).unwrap(), [0, 64, 127, 192]);
    }
}
