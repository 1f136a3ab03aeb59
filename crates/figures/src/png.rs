//! An SVG picture as pixels, by the library `resvg`. The font is our own, so every machine draws the same.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use crate::DrawError;

/// Noto Sans, reduced to the letters that a plot may have (SIL Open Font Licence, `fonts/OFL.txt`).
const FONT: &[u8] = include_bytes!("../fonts/NotoSans-Latin.ttf");
/// Pixels for a unit of the picture.
const SCALE: f32 = 2.0;

/// The bytes of a PNG file of the figure `id`, whose picture is `svg`.
///
/// # Errors
/// If the picture is not an SVG or is empty.
pub fn to_png(id: &str, svg: &str) -> Result<Vec<u8>, DrawError> {
    let options = Options { fontdb: fonts(), font_family: "Noto Sans".into(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| DrawError::new(id, error))?;
    let size = tree.size();
    let (width, height) = ((size.width() * SCALE) as u32, (size.height() * SCALE) as u32);
    let mut pixels = Pixmap::new(width, height).ok_or_else(|| DrawError::new(id, "the picture is empty"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| DrawError::new(id, error))
}

fn fonts() -> Arc<Database> {
    static FONTS: OnceLock<Arc<Database>> = OnceLock::new();
    let load = || {
        let mut fonts = Database::new();
        fonts.load_font_data(FONT.to_vec());
        fonts.set_sans_serif_family("Noto Sans");
        Arc::new(fonts)
    };
    Arc::clone(FONTS.get_or_init(load))
}
