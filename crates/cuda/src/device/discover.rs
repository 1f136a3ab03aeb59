//! The driver, and the GPUs that it sees.
#![allow(unsafe_code)]

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;
use sys::CUdevice_attribute as Attribute;

use super::Properties;
use super::errors::{done, said};
use crate::error::{DeviceError, LEAST_CAPABILITY, LEAST_DRIVER, Result};

/// The name of the driver's library.
const LIBRARY: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };

/// A GPU that the driver sees.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its properties.
    pub properties: Properties,
    /// The reason why it cannot be used, if there is one.
    pub problem: Option<DeviceError>,
}

/// All GPUs that the driver sees, by their numbers.
///
/// # Errors
/// If there is no driver, or it does not start.
pub fn list() -> Result<Vec<Listed>> {
    version()?;
    (0..count()?)
        .map(|ordinal| {
            let properties = properties(ordinal)?;
            let problem = require_capability(&properties).err();
            Ok(Listed { properties, problem })
        })
        .collect()
}

/// Loads the driver, starts it, and gives its CUDA version: (13, 0).
///
/// # Errors
/// If there is no driver, it does not start, or it is too old.
pub fn version() -> Result<(u32, u32)> {
    // cudarc panics if it has to load a library that is not there: ask first.
    // SAFETY: it loads the driver's library, whose initialisers have no conditions.
    if !unsafe { sys::is_culib_present() } {
        return Err(DeviceError::NoDriver { library: LIBRARY });
    }
    let mut found = 0;
    // SAFETY: the pointer is to an integer that outlives the call. It may be called before all others.
    done("cuDriverGetVersion", unsafe { sys::cuDriverGetVersion(&mut found) }.result())?;
    let found = found as u32;
    if found < LEAST_DRIVER {
        return Err(DeviceError::OldDriver { found });
    }
    match result::init() {
        Ok(()) => Ok((found / 1000, found % 1000 / 10)),
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => {
            Err(DeviceError::NoSuchGpu { ordinal: 0, found: 0 })
        }
        Err(error) => Err(DeviceError::Driver { problem: said(error) }),
    }
}

pub(super) fn count() -> Result<usize> {
    Ok(done("cuDeviceGetCount", result::device::get_count())?.max(0) as usize)
}

pub(super) fn properties(ordinal: usize) -> Result<Properties> {
    let device = done("cuDeviceGet", result::device::get(ordinal as i32))?;
    // SAFETY: the device is one of the driver's.
    let attribute =
        |attribute| done("cuDeviceGetAttribute", unsafe { result::device::get_attribute(device, attribute) });
    // SAFETY: as above.
    let memory = done("cuDeviceTotalMem", unsafe { result::device::total_mem(device) })?;
    Ok(Properties {
        name: done("cuDeviceGetName", result::device::get_name(device))?,
        place: format!("cuda:{ordinal}"),
        capability: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)? as u32,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)? as u32,
        ),
        shared_bytes: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)? as usize,
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as usize,
        memory: memory as u64,
    })
}

pub(super) fn require_capability(properties: &Properties) -> Result<()> {
    if properties.capability < LEAST_CAPABILITY {
        let (name, found) = (properties.name.clone(), properties.capability);
        return Err(DeviceError::TooOld { name, found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_too_old_is_refused_by_name() {
        let properties = |capability| Properties {
            name: "Tesla V100".into(),
            place: "cuda:0".into(),
            capability,
            shared_bytes: 96 << 10,
            multiprocessors: 80,
            memory: 16 << 30,
        };
        let error = require_capability(&properties((7, 0))).unwrap_err();
        assert_eq!(error, DeviceError::TooOld { name: "Tesla V100".into(), found: (7, 0) });
        for new_enough in [(7, 5), (8, 0), (9, 0), (10, 0)] {
            require_capability(&properties(new_enough)).unwrap();
        }
    }

    /// Without a driver there is an error that says so; with one, its GPUs are listed.
    #[test]
    fn a_machine_without_a_driver_is_told_so() {
        match list() {
            Ok(gpus) => {
                let placed = |(i, gpu): (usize, &Listed)| gpu.properties.place == format!("cuda:{i}");
                assert!(gpus.iter().enumerate().all(placed));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
