//! The colours: few, the same in every plot, also distinguishable by lightness, each for light and for dark paper.

use std::fmt::Write as _;

use crate::figure::Role;

/// A colour on light and on dark paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colour {
    /// Name of its CSS property.
    pub(crate) name: &'static str,
    pub(crate) light: [u8; 3],
    pub(crate) dark: [u8; 3],
}

const fn new(name: &'static str, light: u32, dark: u32) -> Colour {
    const fn bytes(rgb: u32) -> [u8; 3] {
        [(rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8]
    }
    Colour { name, light: bytes(light), dark: bytes(dark) }
}

/// The background.
pub(crate) const PAPER: Colour = new("paper", 0xFD_FC_FA, 0x15_19_1E);
/// Text.
pub(crate) const INK: Colour = new("ink", 0x1D_25_2C, 0xE6_E3_DD);
/// Less important text.
pub(crate) const FAINT: Colour = new("faint", 0x5A_65_6F, 0x9D_A7_B1);
/// Grid lines.
pub(crate) const GRID: Colour = new("grid", 0xE4_E1_DB, 0x2C_33_3B);
const SERIES: Colour = new("series", 0x2B_5F_8A, 0x7F_B3_DE);
const MODEL: Colour = new("model", 0x9A_6A_0F, 0xE0_B0_58);
const ANOMALY: Colour = new("anomaly", 0xC2_33_1F, 0xFF_7D_68);
/// Layers, from the first to the last.
const LAYERS: [Colour; 5] = [
    new("layer-0", 0x0F_76_6E, 0x5E_D4_C8),
    new("layer-1", 0x2B_5F_8B, 0x7F_B3_DF),
    new("layer-2", 0x6D_4A_9C, 0xBB_9B_E8),
    new("layer-3", 0xA3_3B_78, 0xF0_8F_C4),
    new("layer-4", 0x7A_5C_10, 0xD9_B4_5C),
];

/// The colour of a curve.
pub(crate) fn colour(role: Role) -> Colour {
    match role {
        Role::Series => SERIES,
        Role::Model => MODEL,
        Role::Anomaly => ANOMALY,
        Role::Limit => INK,
        Role::Aside => FAINT,
        Role::Layer(layer) => LAYERS[usize::from(layer) % LAYERS.len()],
    }
}

/// Positive and negative values in a heat map.
pub(crate) const POSITIVE: [u8; 3] = [0x2B, 0x7F, 0xC4];
pub(crate) const NEGATIVE: [u8; 3] = [0xD0, 0x85, 0x1A];

fn all() -> impl Iterator<Item = Colour> {
    [PAPER, INK, FAINT, GRID, SERIES, MODEL, ANOMALY].into_iter().chain(LAYERS)
}

/// The colours as CSS properties, for light and dark paper.
#[must_use]
pub fn css() -> String {
    let block = |dark: bool| {
        all().fold(String::new(), |mut css, colour| {
            let [r, g, b] = if dark { colour.dark } else { colour.light };
            let _ = write!(css, "--{}:#{r:02x}{g:02x}{b:02x};", colour.name);
            css
        })
    };
    let (light, dark) = (block(false), block(true));
    format!(
        ":root{{color-scheme:light dark;{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    )
}

/// Replaces the fixed colours of an SVG by the CSS properties of the page.
#[must_use]
pub fn with_properties(svg: &str) -> String {
    all().fold(svg.to_string(), |svg, colour| {
        let [r, g, b] = colour.light;
        svg.replace(&format!("\"#{r:02X}{g:02X}{b:02X}\""), &format!("\"var(--{})\"", colour.name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2.2, 1.4.3 and 1.4.11.
    fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
        let luminance = |rgb: [u8; 3]| {
            let linear = rgb.map(|byte| {
                let value = f64::from(byte) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            });
            0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn what_is_read_or_followed_stands_out_from_the_paper() {
        for colour in all().filter(|colour| !["paper", "grid"].contains(&colour.name)) {
            assert!(contrast(colour.light, PAPER.light) >= 4.5, "{} on light paper", colour.name);
            assert!(contrast(colour.dark, PAPER.dark) >= 4.5, "{} on dark paper", colour.name);
        }
    }

    #[test]
    fn no_two_colours_are_one() {
        let mut lights: Vec<_> = all().map(|colour| colour.light).collect();
        lights.sort_unstable();
        lights.dedup();
        assert_eq!(lights.len(), all().count(), "they are told apart in an SVG by their value");
    }
}
