//! The sources in `kernels/`, as they are in this binary.

use std::sync::LazyLock;

use crate::device::Source;

macro_rules! sources {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../../kernels/", $name)))),*]
    };
}

/// Every file that a plain kernel needs: names and texts.
pub const PLAIN_FILES: &[(&str, &str)] = sources! {
    "activations.cuh" "adam.cu" "apply.cu" "apply_transposed.cu" "block_sum.cuh" "ceilings.cu" "clip.cu"
    "control.cu" "control.cuh" "correlate.cu" "decay.cu" "dialect.cuh" "draw.cu" "epilogue.cuh" "gather.cu"
    "geometry.cuh" "index_map.cu" "loss.cu" "losses.cuh" "map.cu" "normalize.cu" "parts.cuh" "philox.cuh"
    "pool.cu" "recur.cu" "rmsprop.cu" "sgd.cu" "shift.cu" "standardize.cu" "sums.cu"
};

/// Every file that the fused kernels need, but for the header that is made for a network.
pub const FUSED_FILES: &[(&str, &str)] = sources! {
    "fused_score.cu" "fused_step.cu" "fused/correlate.cuh" "fused/pieces.cuh" "fused/product.cuh" "fused/scatter.cuh"
    "activations.cuh" "control.cuh" "dialect.cuh" "losses.cuh" "philox.cuh"
};

/// The plain kernels: they are compiled together, and a process loads one image.
#[must_use]
pub fn plain() -> Source<'static> {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let kernels = PLAIN_FILES.iter().filter(|(name, _)| name.ends_with(".cu"));
        kernels.map(|(name, _)| format!("#include \"{name}\"\n")).collect()
    });
    Source { name: "plain.cu", text: &TEXT, headers: PLAIN_FILES }
}
