//! Colours that differ in hue for most eyes and in lightness for all of them, also on a grey print.

use plotters::style::RGBColor;

/// Series colours, in order of use. Neighbours differ by at least 20 units of lightness (after Paul Tol's "high contrast" set).
const SERIES: [RGBColor; 8] = [
    RGBColor(0x00, 0x44, 0x88),
    RGBColor(0xDD, 0xAA, 0x33),
    RGBColor(0xBB, 0x55, 0x66),
    RGBColor(0x88, 0xCC, 0xEE),
    RGBColor(0x11, 0x77, 0x33),
    RGBColor(0xBB, 0xBB, 0xBB),
    RGBColor(0x33, 0x22, 0x88),
    RGBColor(0x99, 0x99, 0x33),
];

/// Text and axes.
pub(super) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
/// Secondary text: notes such as "no data".
pub(super) const MUTED: RGBColor = RGBColor(0x66, 0x66, 0x66);
/// Grid lines.
pub(super) const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);
/// Shaded spans behind the data.
pub(super) const SHADE: RGBColor = RGBColor(0xF3, 0xEC, 0xDC);
/// What lies behind everything.
pub(super) const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);

/// The colour of the series at `index`; beyond the eighth they repeat, and shape or dash must tell them apart.
pub(super) fn series(index: usize) -> RGBColor {
    SERIES[index % SERIES.len()]
}
