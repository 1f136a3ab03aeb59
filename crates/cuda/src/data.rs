//! Samples on the device: uploaded once, and kept as long as the same ones are used.

use bytemuck::cast_slice;
use glassbox_engine::samples::Samples;

use crate::device::{Buffer, Gpu};
use crate::error::Result;
use crate::kernels::Series;

/// Data that is kept: what a model reads and what it should give, in training and in validation.
const KEPT: usize = 4;

/// The data that has been uploaded; the last used comes last.
///
/// Data is told by its values, not by its place in memory, which may hold other values by now. Comparing the
/// tutorial's 16 KB takes a microsecond.
#[derive(Debug, Default)]
pub(crate) struct Uploads(Vec<Kept>);

#[derive(Debug)]
struct Kept {
    host: Vec<f32>,
    values: Buffer<f32>,
}

impl Uploads {
    /// The samples on the device.
    pub(crate) fn series(&mut self, device: &Gpu, samples: &Samples<'_, f32>) -> Result<Series> {
        let (data, hop) = samples.raw();
        // The view may begin within a longer series, and end before it does.
        let used = samples.len().checked_sub(1).map_or(0, |last| last * hop + samples.shape().len());
        let values = self.values(device, &data[..used])?;
        Ok(Series { values, hop, samples: samples.len() })
    }

    fn values(&mut self, device: &Gpu, data: &[f32]) -> Result<Buffer<f32>> {
        // By their bits: a NaN is itself.
        let same = |kept: &Kept| cast_slice::<f32, u32>(&kept.host) == cast_slice::<f32, u32>(data);
        let kept = match self.0.iter().position(same) {
            Some(at) => self.0.remove(at),
            None => self.upload(device, data)?,
        };
        let values = kept.values.clone();
        self.0.push(kept);
        Ok(values)
    }

    /// Uploads, into the memory of what was not used for the longest time if it has the same length: then what
    /// was recorded for it stays good.
    fn upload(&mut self, device: &Gpu, data: &[f32]) -> Result<Kept> {
        if self.0.len() == KEPT {
            let mut oldest = self.0.remove(0);
            if oldest.host.len() == data.len() {
                oldest.values.write(data)?;
                oldest.host.copy_from_slice(data);
                return Ok(oldest);
            }
        }
        Ok(Kept { host: data.to_vec(), values: Buffer::of(device, data)? })
    }
}
