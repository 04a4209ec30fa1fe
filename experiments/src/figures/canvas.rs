//! A thin layer over plotters' SVG back end: lines, boxes and texts at pixels, on a canvas as wide as the page's text.
//!
//! A canvas of 1600 pixels is placed at 16 cm, so that one pixel is a tenth of a millimetre and [`LABEL`] is 9 pt on paper.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform, IntoFont, RGBColor, ShapeStyle};

use super::palette;
use super::text::FAMILY;

/// The width of every chart in pixels; it is placed at the width of the text, 16 cm.
pub(super) const WIDTH: u32 = 1600;
/// The font size of tick labels, names and legends: 9 pt on paper.
pub(super) const LABEL: f64 = 32.0;
/// The font size of notes and of numbers at bars: 8 pt on paper.
pub(super) const SMALL: f64 = 28.5;
/// The distance between two lines of text.
pub(super) const LEADING: f64 = 36.0;

/// Where a text is held.
#[derive(Clone, Copy)]
pub(super) enum Hold {
    /// At its left edge, in the middle of its height.
    Left,
    /// At its centre.
    Centre,
    /// At its right edge, in the middle of its height.
    Right,
}

/// What marks an observation: the shape tells series apart where colour does not.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    /// A filled disc.
    Disc,
    /// A ring.
    Ring,
    /// A filled diamond.
    Diamond,
    /// A filled square.
    Square,
}

impl Mark {
    /// The mark of the series at `index`.
    pub(super) fn of(index: usize) -> Self {
        [Self::Disc, Self::Ring, Self::Diamond, Self::Square][index % 4]
    }
}

/// A drawing in progress.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws on a canvas of the given height and returns the SVG.
pub(super) fn draw(height: f64, paint: impl FnOnce(&Canvas<'_>)) -> String {
    let mut svg = String::new();
    {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a chart is a few thousand pixels high"
        )]
        let size = (WIDTH, height.ceil().max(1.0) as u32);
        let canvas = Canvas { area: SVGBackend::with_string(&mut svg, size).into_drawing_area() };
        canvas.rectangle((0.0, 0.0), (f64::from(size.0), f64::from(size.1)), palette::PAPER);
        paint(&canvas);
        certain(canvas.area.present());
    }
    svg
}

/// A canvas is written to memory, where nothing can fail; the back end's error type only serves files.
fn certain<T, E: std::fmt::Debug>(outcome: Result<T, E>) -> T {
    outcome.expect("drawing to memory cannot fail")
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a chart is a few thousand pixels wide, and coordinates are finite"
)]
fn pixel((x, y): (f64, f64)) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

impl Canvas<'_> {
    /// Fills a box between two corners.
    pub(super) fn rectangle(&self, from: (f64, f64), to: (f64, f64), colour: RGBColor) {
        certain(self.area.draw(&Rectangle::new([pixel(from), pixel(to)], colour.filled())));
    }

    /// Draws a straight line.
    pub(super) fn line(&self, from: (f64, f64), to: (f64, f64), colour: RGBColor, stroke: u32) {
        self.path(&[from, to], colour, stroke);
    }

    /// Draws connected lines.
    pub(super) fn path(&self, points: &[(f64, f64)], colour: RGBColor, stroke: u32) {
        let points: Vec<(i32, i32)> = points.iter().copied().map(pixel).collect();
        certain(self.area.draw(&PathElement::new(points, colour.stroke_width(stroke))));
    }

    /// Draws connected lines in strokes and gaps; an empty pattern is a solid line. The pattern runs on through the corners, so
    /// that a line of many short pieces keeps its look.
    pub(super) fn dashed(&self, points: &[(f64, f64)], colour: RGBColor, stroke: u32, pattern: &[f64]) {
        if pattern.is_empty() {
            return self.path(points, colour, stroke);
        }
        let (mut index, mut left) = (0, pattern[0]);
        let mut piece: Vec<(f64, f64)> = points.first().copied().into_iter().collect();
        for pair in points.windows(2) {
            let (mut from, to) = (pair[0], pair[1]);
            let mut distance = (to.0 - from.0).hypot(to.1 - from.1);
            while distance > left {
                let part = left / distance;
                from = (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part);
                distance -= left;
                piece.push(from);
                if index % 2 == 0 {
                    self.path(&piece, colour, stroke);
                }
                piece = vec![from];
                index += 1;
                left = pattern[index % pattern.len()];
            }
            left -= distance;
            piece.push(to);
        }
        if index % 2 == 0 && piece.len() > 1 {
            self.path(&piece, colour, stroke);
        }
    }

    /// Draws a mark around a point.
    pub(super) fn mark(&self, (x, y): (f64, f64), mark: Mark, colour: RGBColor) {
        match mark {
            Mark::Disc => certain(self.area.draw(&Circle::new(pixel((x, y)), 11, colour.filled()))),
            Mark::Ring => {
                certain(self.area.draw(&Circle::new(pixel((x, y)), 10, palette::PAPER.filled())));
                let style = ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width: 5 };
                certain(self.area.draw(&Circle::new(pixel((x, y)), 10, style)));
            }
            Mark::Diamond => {
                let corners = [(x, y - 14.0), (x + 14.0, y), (x, y + 14.0), (x - 14.0, y)].map(pixel);
                certain(self.area.draw(&Polygon::new(corners, colour.filled())));
            }
            Mark::Square => self.rectangle((x - 10.0, y - 10.0), (x + 10.0, y + 10.0), colour),
        }
    }

    /// Writes one line of text; `y` is the middle of its height.
    pub(super) fn text(&self, at: (f64, f64), text: &str, size: f64, hold: Hold, colour: RGBColor) {
        self.write(at, text, size, hold, colour, FontTransform::None);
    }

    /// Writes one line of text from below upwards, centred on the point.
    pub(super) fn upright(&self, at: (f64, f64), text: &str, size: f64, colour: RGBColor) {
        self.write(at, text, size, Hold::Centre, colour, FontTransform::Rotate270);
    }

    fn write(&self, at: (f64, f64), text: &str, size: f64, hold: Hold, colour: RGBColor, turn: FontTransform) {
        // XML has no way to write a control character, so that one of them would spoil the file.
        let text: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
        let side = match hold {
            Hold::Left => HPos::Left,
            Hold::Centre => HPos::Center,
            Hold::Right => HPos::Right,
        };
        // The back end divides the size by 1.24, a guess about bitmap fonts; undone here, so that the number means the font size.
        let style = (FAMILY, size * 1.24).into_font().transform(turn).color(&colour).pos(Pos::new(side, VPos::Center));
        certain(self.area.draw(&Text::new(text, pixel(at), style)));
    }
}
