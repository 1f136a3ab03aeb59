//! Instruction sets, and the interface through which kernels use them.
//!
//! There are three layers, as in the crate `memchr`. [`Vector`] is the interface for kernels; each instruction set has
//! a file that implements it; and a value of [`Isa`], created once with a [`Cpu`](crate::Cpu), is the proof that the
//! processor has the instruction set. A kernel is a [`Task`], generic over the vector: [`Isa::run`] compiles it for
//! each.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod functions;
mod portable;
mod vector;

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

use glassbox_engine::{Error, Result};
pub(crate) use vector::{Vector, Words};

/// The environment variable that forces a path.
pub const VARIABLE: &str = "GLASSBOX_SIMD";

/// A path through the backend: the instruction set that computes its products.
///
/// On one path, results are the same to the bit for any number of threads. Between paths they differ by
/// roundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Simd {
    /// Micro-kernels with AVX-512 (F, BW, DQ and VL).
    Avx512,
    /// Micro-kernels with AVX2 and FMA.
    Avx2,
    /// Micro-kernels without intrinsics, for any architecture; on 64-bit ARM they compile to NEON.
    Portable,
    /// The products of the crate `matrixmultiply`, on the same views, with epilogues as separate passes. A yardstick
    /// for the benches and a second opinion in the tests; it is never chosen automatically. It allocates a buffer for
    /// each product.
    MatrixMultiply,
}

impl Simd {
    /// All paths, the preferred ones first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Portable, Self::MatrixMultiply];

    /// The name of the path in [`GLASSBOX_SIMD`](VARIABLE).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
            Self::MatrixMultiply => "matrixmultiply",
        }
    }

    /// Returns true if this processor supports this path.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Avx2 => false,
            Self::Portable | Self::MatrixMultiply => true,
        }
    }

    /// The paths that this processor supports, the preferred ones first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|simd| simd.is_available()).collect()
    }

    /// The paths for tests and benches: only the one that [`GLASSBOX_SIMD`](VARIABLE) forces, or all available ones. So
    /// a test run that should test a certain path fails on a machine without it.
    ///
    /// # Errors
    /// As for [`Simd::choose`].
    pub fn under_test() -> Result<Vec<Self>> {
        match forced() {
            None => Ok(Self::available()),
            Some(_) => Ok(vec![Self::choose()?]),
        }
    }

    /// The path that [`GLASSBOX_SIMD`](VARIABLE) forces, or the best available one.
    ///
    /// # Errors
    /// If the variable does not name a path, or names one that this processor does not support.
    pub fn choose() -> Result<Self> {
        match forced() {
            None => Ok(Self::available()[0]),
            Some(name) => name.to_string_lossy().parse::<Self>()?.require_available(),
        }
    }

    /// Returns this path if the processor supports it.
    ///
    /// # Errors
    /// If it does not; the error names the supported paths.
    pub fn require_available(self) -> Result<Self> {
        if self.is_available() { Ok(self) } else { Err(unknown(self.name())) }
    }
}

/// The value of the variable; empty counts as unset.
fn forced() -> Option<OsString> {
    std::env::var_os(VARIABLE).filter(|name| !name.is_empty())
}

fn unknown(found: &str) -> Error {
    let names: Vec<_> = Simd::available().into_iter().map(Simd::name).collect();
    Error::Option {
        option: VARIABLE,
        found: format!("{found:?}"),
        expected: format!("one that this machine has: {}", names.join(", ")),
    }
}

impl FromStr for Simd {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|simd| simd.name() == name).ok_or_else(|| unknown(name))
    }
}

impl fmt::Display for Simd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An instruction set that this processor has. A value of this type is the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Isa(Simd);

/// A kernel with its arguments, generic over the instruction set.
pub(crate) trait Task {
    /// Runs the kernel. Implementations, and all that they call, are `#[inline(always)]`: only then are they compiled
    /// with the features of the function that calls them.
    ///
    /// # Safety
    /// * the processor has the instruction set of `V`;
    /// * the arguments fulfil the safety conditions in the kernel's own documentation.
    unsafe fn run<V: Vector>(self);
}

impl Isa {
    /// The instruction set that every processor has.
    pub(crate) const PORTABLE: Self = Self(Simd::Portable);

    /// The instruction set of a path that uses our micro-kernels, if the processor supports it.
    pub(crate) fn new(simd: Simd) -> Option<Self> {
        (simd != Simd::MatrixMultiply && simd.is_available()).then_some(Self(simd))
    }

    /// Number of values in a register.
    pub(crate) fn width(self) -> usize {
        match self.0 {
            Simd::Avx512 => 16,
            Simd::Avx2 => 8,
            Simd::Portable | Simd::MatrixMultiply => 4,
        }
    }

    /// The number of registers.
    pub(crate) fn registers(self) -> usize {
        match self.0 {
            Simd::Avx512 => 32,
            Simd::Avx2 => 16,
            Simd::Portable | Simd::MatrixMultiply => portable::REGISTERS,
        }
    }

    /// The instruction set with registers half as wide, for few columns.
    pub(crate) fn narrow(self) -> Option<Self> {
        // The test for AVX-512 includes AVX2 and FMA.
        (self.0 == Simd::Avx512).then_some(Self(Simd::Avx2))
    }

    /// Runs a kernel on this instruction set.
    ///
    /// # Safety
    /// * the task's arguments fulfil the safety conditions in its documentation.
    #[inline]
    pub(crate) unsafe fn run<T: Task>(self, task: T) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the value of this type is the proof of the features; the caller guarantees the task's contract.
            Simd::Avx512 => unsafe { avx512::run(task) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Simd::Avx2 => unsafe { avx2::run(task) },
            // SAFETY: no features are needed; the caller guarantees the task's contract.
            _ => unsafe { portable::run(task) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_by_its_name() {
        for simd in Simd::ALL {
            assert_eq!(simd.name().parse::<Simd>().unwrap(), simd);
        }
        let error = "avx".parse::<Simd>().unwrap_err().to_string();
        assert!(
            error.starts_with("GLASSBOX_SIMD is \"avx\", expected one that this machine has: "),
            "{error}"
        );
        assert!(error.ends_with("portable, matrixmultiply"), "{error}");
    }
}
