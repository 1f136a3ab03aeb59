//! Epilogues as separate passes: for values that no micro-kernel computes, and for orders that
//! [`Epilogue`] does not have.
//!
//! Reference: [`glassbox_engine::reference::pointwise`].

use glassbox_engine::masks::{WORD, keeps};

use crate::kernels::epilogue::Epilogue;

/// Applies an epilogue to a row of y, whose first element is element number `first` of y.
pub(crate) fn row(y: &mut [f32], first: usize, epilogue: &Epilogue<'_>) {
    if let Some(bias) = epilogue.bias {
        add_bias(y, &bias[..y.len()]);
    }
    if epilogue.relu {
        relu(y);
    }
    if let Some((mask, scale)) = epilogue.dropout {
        for (column, v) in y.iter_mut().enumerate() {
            *v = if keeps(mask, first + column) { *v * scale } else { 0.0 };
        }
    }
    if let Some(gate) = epilogue.gate {
        relu_gate(y, &gate[first..][..y.len()]);
    }
}

/// `y[t, c] *= factors[c]`
pub(crate) fn scale(y: &mut [f32], factors: &[f32]) {
    for row in y.chunks_exact_mut(factors.len()) {
        for (v, factor) in row.iter_mut().zip(factors) {
            *v *= factor;
        }
    }
}

/// `y[t, c] += bias[c]`
pub(crate) fn add_bias(y: &mut [f32], bias: &[f32]) {
    for row in y.chunks_exact_mut(bias.len()) {
        for (v, bias) in row.iter_mut().zip(bias) {
            *v += bias;
        }
    }
}

/// `y = max(y, 0)`; NaN stays NaN, so that its origin can be found.
fn relu(y: &mut [f32]) {
    for v in y {
        *v = if *v < 0.0 { 0.0 } else { *v };
    }
}

/// `y = y / (1 - rate)` where the mask keeps the element, else 0.
pub(crate) fn dropout(y: &mut [f32], mask: &[u32], rate: f64) {
    let scale = (1.0 / (1.0 - rate)) as f32;
    for (y, word) in y.chunks_mut(WORD).zip(mask) {
        for (bit, v) in y.iter_mut().enumerate() {
            // Not a product with 0 or 1, which would turn an infinity into NaN.
            *v = if word >> bit & 1 == 1 { *v * scale } else { 0.0 };
        }
    }
}

/// `dy = dy` where `y > 0`, else 0.
fn relu_gate(dy: &mut [f32], y: &[f32]) {
    for (v, y) in dy.iter_mut().zip(y) {
        *v = if *y > 0.0 { *v } else { 0.0 };
    }
}
