//! Failures of the driver's calls.

use cudarc::driver::result::DriverError;
use cudarc::driver::sys;

use crate::error::{DeviceError, Result};

/// The outcome of a call, which an error names.
pub(super) fn done<T>(call: &'static str, outcome: Result<T, DriverError>) -> Result<T> {
    outcome.map_err(|error| match said(error) {
        problem if is_lost(error.0) => DeviceError::Lost { call, problem },
        problem => DeviceError::Call { call, problem },
    })
}

/// The driver's description of an error.
pub(super) fn said(error: DriverError) -> String {
    let text =
        error.error_string().map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned());
    format!("{text} ({:?})", error.0)
}

/// Returns true if the device can do no more, at least in this process: the driver's documentation says so of each of
/// these.
fn is_lost(code: sys::CUresult) -> bool {
    use sys::CUresult as Code;
    matches!(
        code,
        Code::CUDA_ERROR_DEINITIALIZED
            | Code::CUDA_ERROR_DEVICE_UNAVAILABLE
            | Code::CUDA_ERROR_ECC_UNCORRECTABLE
            | Code::CUDA_ERROR_CONTAINED
            | Code::CUDA_ERROR_NVLINK_UNCORRECTABLE
            | Code::CUDA_ERROR_ILLEGAL_ADDRESS
            | Code::CUDA_ERROR_LAUNCH_TIMEOUT
            | Code::CUDA_ERROR_CONTEXT_IS_DESTROYED
            | Code::CUDA_ERROR_ASSERT
            | Code::CUDA_ERROR_HARDWARE_STACK_ERROR
            | Code::CUDA_ERROR_ILLEGAL_INSTRUCTION
            | Code::CUDA_ERROR_MISALIGNED_ADDRESS
            | Code::CUDA_ERROR_INVALID_ADDRESS_SPACE
            | Code::CUDA_ERROR_INVALID_PC
            | Code::CUDA_ERROR_LAUNCH_FAILED
            | Code::CUDA_ERROR_EXTERNAL_DEVICE
            | Code::CUDA_ERROR_TENSOR_MEMORY_LEAK
            | Code::CUDA_ERROR_MPS_CLIENT_TERMINATED
            | Code::CUDA_ERROR_UNKNOWN
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_end_a_context_are_told_from_others() {
        assert!(is_lost(sys::CUresult::CUDA_ERROR_ILLEGAL_ADDRESS));
        assert!(is_lost(sys::CUresult::CUDA_ERROR_ECC_UNCORRECTABLE));
        assert!(!is_lost(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY));
        assert!(!is_lost(sys::CUresult::CUDA_ERROR_INVALID_VALUE));
    }
}
