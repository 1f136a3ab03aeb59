//! The sources in `kernels/`, as they are in this binary.

use crate::device::Source;

macro_rules! sources {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../../kernels/", $name)))),*]
    };
}

/// Every file that a plain kernel needs: names and texts.
pub const PLAIN_FILES: &[(&str, &str)] = sources! {
    "adam.cu" "apply.cu" "apply_transposed.cu" "block_sum.cuh" "ceilings.cu" "control.cu" "control.cuh"
    "correlate.cu" "dialect.cuh" "draw.cu" "epilogue.cuh" "gather.cu" "geometry.cuh" "loss.cu" "map.cu"
    "parts.cuh" "philox.cuh" "sums.cu"
};

/// Every file that the fused kernels need, but for the header that is made for a network.
pub const FUSED_FILES: &[(&str, &str)] = sources! {
    "fused_score.cu" "fused_step.cu" "fused/correlate.cuh" "fused/pieces.cuh" "fused/product.cuh" "fused/scatter.cuh"
    "control.cuh" "dialect.cuh" "philox.cuh"
};

/// The plain kernels, as one module: they are compiled together, and a process loads one image.
const PLAIN: &str = "\
#include \"gather.cu\"
#include \"draw.cu\"
#include \"apply.cu\"
#include \"apply_transposed.cu\"
#include \"correlate.cu\"
#include \"map.cu\"
#include \"sums.cu\"
#include \"loss.cu\"
#include \"adam.cu\"
#include \"control.cu\"
#include \"ceilings.cu\"
";

/// The plain kernels.
#[must_use]
pub fn plain() -> Source<'static> {
    Source { name: "plain.cu", text: PLAIN, headers: PLAIN_FILES }
}
