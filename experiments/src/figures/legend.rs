//! The key to colours and marks, above the data and never over it.

use plotters::style::RGBColor;

use super::canvas::{Canvas, Hold, LABEL, LEADING, Mark};
use super::palette;
use super::text::{shorten, width};

/// What stands before a name.
#[derive(Clone, Copy)]
pub(super) enum Swatch {
    /// A filled box: bars.
    Box(RGBColor),
    /// A mark: dots.
    Mark(RGBColor, Mark),
}

const SWATCH: f64 = 44.0;
const GAP: f64 = 40.0;

/// The entries with their places, in rows no wider than `limit`; and the height of all rows.
fn places<'n>(names: impl Iterator<Item = &'n str>, limit: f64) -> (Vec<(f64, f64, String)>, f64) {
    let (mut x, mut y) = (0.0, 0.0);
    let mut placed = Vec::new();
    for name in names {
        let name = shorten(name, LABEL, limit - SWATCH);
        let needed = SWATCH + width(&name, LABEL);
        if x > 0.0 && x + needed > limit {
            (x, y) = (0.0, y + LEADING + 6.0);
        }
        placed.push((x, y, name));
        x += needed + GAP;
    }
    (placed, y + LEADING)
}

/// The height that the legend needs, with the space below it. One series needs no legend.
pub(super) fn height<'n>(names: impl ExactSizeIterator<Item = &'n str>, limit: f64) -> f64 {
    if names.len() < 2 { 0.0 } else { places(names, limit).1 + 0.6 * LEADING }
}

/// Draws the legend with its upper left corner at the point.
pub(super) fn draw<'n>(
    canvas: &Canvas<'_>,
    (left, top): (f64, f64),
    limit: f64,
    names: impl ExactSizeIterator<Item = &'n str>,
    swatch: impl Fn(usize) -> Swatch,
) {
    if names.len() < 2 {
        return;
    }
    for (index, (x, y, name)) in places(names, limit).0.into_iter().enumerate() {
        let (x, y) = (left + x, top + y + LEADING / 2.0);
        match swatch(index) {
            Swatch::Box(colour) => canvas.rectangle((x, y - 13.0), (x + 30.0, y + 13.0), colour),
            Swatch::Mark(colour, mark) => canvas.mark((x + 15.0, y), mark, colour),
        }
        canvas.text((x + SWATCH, y), &name, LABEL, Hold::Left, palette::INK);
    }
}
