//! The operations on vector registers that the micro-kernels use.

/// A register of `f32` with the few operations that the micro-kernels consist of.
///
/// A kernel is written once, generic over this trait, and compiled for each instruction set by
/// [`Isa::run`](super::Isa::run). All methods are `#[inline(always)]`: within a function that enables the features of
/// the instruction set, each is one or a few instructions.
///
/// # Safety of the methods
/// All of them are unsafe to call for the same two reasons. The caller ensures that
///
/// * the processor has the vector's instruction set;
/// * a pointer is valid for as many values as the method reads or writes. It need not be aligned.
pub(crate) trait Vector: Copy {
    /// Values in a register; at most 16.
    const WIDTH: usize;
    /// The vector of integers of the same instruction set.
    type Words: Words;
    /// Number of registers, which limits the tile of a kernel.
    const REGISTERS: usize;

    /// `value` in every lane.
    unsafe fn splat(value: f32) -> Self;

    /// Reads `WIDTH` values.
    unsafe fn load(from: *const f32) -> Self;

    /// Reads `n <= WIDTH` values and touches no others; the lanes after them are zero.
    unsafe fn load_first(from: *const f32, n: usize) -> Self;

    /// Asks for the cache line of an address that will be read soon. The address need not be valid.
    unsafe fn prefetch(at: *const f32);

    /// Writes `WIDTH` values.
    unsafe fn store(self, to: *mut f32);

    /// Writes the first `n <= WIDTH` values and touches no others.
    unsafe fn store_first(self, to: *mut f32, n: usize);

    /// `self + other`
    unsafe fn add(self, other: Self) -> Self;

    /// `self - other`
    unsafe fn sub(self, other: Self) -> Self;

    /// `self * other`
    unsafe fn mul(self, other: Self) -> Self;

    /// `self / other`
    unsafe fn div(self, other: Self) -> Self;

    /// `self * factor + addend`: rounded once on AVX-512 and AVX2, twice on the portable path unless the target has a
    /// fused multiply-add.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;

    /// `max(self, least)`; NaN stays NaN, and where both are zero `self` stays.
    unsafe fn at_least(self, least: Self) -> Self;

    /// `max(self, 0)`; NaN stays NaN and -0 stays -0, as in the reference.
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // SAFETY: guaranteed by the caller.
        unsafe { self.at_least(Self::splat(0.0)) }
    }

    /// Lane i where bit i is set, else 0. Bits from `WIDTH` on are ignored.
    unsafe fn keep(self, bits: u32) -> Self;

    /// `self` where `gate > 0`, else 0.
    unsafe fn keep_positive(self, gate: Self) -> Self;

    /// `yes` where `self < other`, else `no`; so `no` where one of them is NaN.
    unsafe fn less(self, other: Self, yes: Self, no: Self) -> Self;

    /// `|self|`
    unsafe fn abs(self) -> Self;

    /// `|self|` with the sign of `sign`.
    unsafe fn with_sign(self, sign: Self) -> Self;

    /// `self * 2^n` for whole numbers n from -252 to 254, rounded once if `self` is from 0.5 to 2.
    unsafe fn scale(self, n: Self) -> Self;

    /// The sum of all lanes, halves added to halves.
    unsafe fn sum(self) -> f32;
}

/// A register of 32-bit words, each in a lane of 64 bits whose high half may hold anything. Philox uses it
/// ([`masks`](crate::kernels::masks)).
///
/// # Safety of the methods
/// All of them are unsafe to call for one reason. The caller ensures that
///
/// * the processor has the vector's instruction set.
pub(crate) trait Words: Copy {
    /// Words in a register: 4 or 8.
    const LANES: usize;

    /// `word` in every lane.
    unsafe fn splat(word: u32) -> Self;

    /// `first, first + 1, ...`, one in each lane, in the order in which [`Words::kept`] reads them.
    unsafe fn count(first: u32) -> Self;

    /// One round of Philox 4x32 for a counter in each lane.
    unsafe fn round(counter: [Self; 4], multipliers: [Self; 2], key: [Self; 2]) -> [Self; 4];

    /// One byte for each block of 128 bits, the lowest first: bit i is set if 16 bits number i are not below
    /// `threshold`, which is at most 65536.
    unsafe fn kept(block: [Self; 4], threshold: u32) -> u64;
}
