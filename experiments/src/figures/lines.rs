//! Values over time: lines with their names at their ends, and shaded spans. Points that nothing joins have their names in a legend.

use plotters::style::RGBColor;

use super::bars::count;
use super::canvas::{self, Canvas, Hold, LABEL, LEADING, Mark, SMALL, WIDTH};
use super::legend::{self, Swatch};
use super::palette;
use super::scale::{self, Axis, Fitted, Frame};
use super::text::{shorten, width};

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// The name at the end of the line.
    pub name: String,
    /// Places on the horizontal axis with their values; a `None` interrupts the line.
    pub points: Vec<(f64, Option<f64>)>,
}

impl Line {
    /// Whether no two of its points are joined.
    fn is_scattered(&self) -> bool {
        !self.points.windows(2).any(|pair| pair.iter().all(|(_, value)| value.is_some()))
    }
}

/// A part of the horizontal axis that is shaded and named.
#[derive(Clone, Debug)]
pub struct Span {
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// What it is, such as `surge`.
    pub label: String,
}

/// Lines over seconds, or over anything else that grows.
#[derive(Clone, Debug)]
pub struct LineChart {
    /// The lines.
    pub lines: Vec<Line>,
    /// What is shaded behind them.
    pub spans: Vec<Span>,
    /// The horizontal axis; it covers what the lines and spans cover and need not begin at zero.
    pub x_axis: Axis,
    /// The vertical axis.
    pub y_axis: Axis,
}

const MARGIN: f64 = 12.0;

/// Room that the name of a line needs between its end and the right side of the frame, to be written there.
const EARLY: f64 = 160.0;

/// Strokes and gaps of the lines by index: a second way to tell them apart.
const PATTERNS: [&[f64]; 4] = [&[], &[26.0, 12.0], &[7.0, 9.0], &[30.0, 10.0, 7.0, 10.0]];

impl LineChart {
    /// Draws the chart.
    #[must_use]
    pub fn svg(&self) -> String {
        let page = f64::from(WIDTH);
        let values = self.lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, value)| *value));
        let vertical = self.y_axis.fit(values, 5.0);
        let horizontal = self.x_axis.fit(self.places(), 8.0);
        let is_scattered = self.lines.iter().all(Line::is_scattered);
        let names = self.lines.iter().map(|line| line.name.as_str());
        let (above, beside) = if is_scattered {
            (legend::height(names.clone(), page - 2.0 * MARGIN), 0.0)
        } else {
            (0.0, names.clone().map(|name| width(name, LABEL)).fold(0.0, f64::max).min(0.28 * page))
        };
        let top = above + if self.spans.is_empty() { LEADING } else { 1.4 * LEADING };
        let frame = Frame {
            left: MARGIN + scale::beside(&vertical),
            right: page - MARGIN - beside - 24.0,
            top,
            bottom: top + 520.0,
        };
        canvas::draw(frame.bottom + scale::BELOW, |canvas| {
            self.shade(canvas, frame, &horizontal);
            scale::along_left(canvas, frame, &self.y_axis, &vertical);
            scale::along_bottom(canvas, frame, &self.x_axis, &horizontal, false);
            canvas.line((frame.left, frame.bottom), (frame.right, frame.bottom), palette::INK, 3);
            for (index, line) in self.lines.iter().enumerate() {
                for run in runs(line, frame, &horizontal, &vertical) {
                    match run.as_slice() {
                        // A single point between two gaps has no line, yet it was measured.
                        [point] => canvas.mark(*point, Mark::of(index), palette::series(index)),
                        points => canvas.dashed(points, palette::series(index), 5, PATTERNS[index % PATTERNS.len()]),
                    }
                }
            }
            scale::reference_across(canvas, frame, &self.y_axis, &vertical);
            if is_scattered {
                legend::draw(canvas, (MARGIN, 4.0), page - 2.0 * MARGIN, names, |index| {
                    Swatch::Mark(palette::series(index), Mark::of(index))
                });
            } else {
                self.name(canvas, frame, (&horizontal, &vertical), beside);
            }
        })
    }

    fn places(&self) -> impl Iterator<Item = f64> {
        let points = self.lines.iter().flat_map(|line| line.points.iter().map(|(place, _)| *place));
        points.chain(self.spans.iter().flat_map(|span| [span.from, span.to]))
    }

    fn shade(&self, canvas: &Canvas<'_>, frame: Frame, horizontal: &Fitted) {
        for span in self.spans.iter().filter(|span| horizontal.holds(span.from) && horizontal.holds(span.to)) {
            let (from, to) = (frame.x(horizontal, span.from), frame.x(horizontal, span.to));
            canvas.rectangle((from, frame.top), (to, frame.bottom), palette::SHADE);
            let half = width(&span.label, SMALL) / 2.0;
            let middle =
                (f64::midpoint(from, to)).clamp(frame.left + half, (frame.right - half).max(frame.left + half));
            canvas.text((middle, frame.top - 20.0), &span.label, SMALL, Hold::Centre, palette::MUTED);
        }
    }

    /// Writes each name beside the end of its line; names that would touch are moved apart and tied to their ends. A line that ends
    /// early has its name there: a tie across the chart would look like more of the line.
    fn name(&self, canvas: &Canvas<'_>, frame: Frame, (horizontal, vertical): (&Fitted, &Fitted), limit: f64) {
        let mut ends: Vec<(f64, f64, usize)> = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            let Some(&(x, y)) = runs(line, frame, horizontal, vertical).last().and_then(|run| run.last()) else {
                continue;
            };
            let name = shorten(&line.name, LABEL, limit);
            if x + EARLY + width(&name, LABEL) < frame.right {
                canvas.text((x + 20.0, y), &name, LABEL, Hold::Left, palette::INK);
            } else {
                ends.push((y, x, index));
            }
        }
        ends.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut places: Vec<f64> = ends.iter().map(|(y, _, _)| *y).collect();
        for index in 1..places.len() {
            places[index] = places[index].max(places[index - 1] + LEADING);
        }
        if let Some(over) = places.last().map(|last| last - frame.bottom).filter(|over| *over > 0.0) {
            for (index, place) in places.iter_mut().enumerate().rev() {
                *place = (*place - over).max(frame.top + LEADING * count(index));
            }
            let last = places.len() - 1;
            for index in (0..last).rev() {
                places[index] = places[index].min(places[index + 1] - LEADING);
            }
        }
        for ((y, x, index), place) in ends.iter().zip(places) {
            let colour: RGBColor = palette::series(*index);
            canvas.line((*x + 4.0, *y), (frame.right + 18.0, place), colour, 2);
            canvas.text(
                (frame.right + 24.0, place),
                &shorten(&self.lines[*index].name, LABEL, limit),
                LABEL,
                Hold::Left,
                palette::INK,
            );
        }
    }
}

/// The unbroken parts of a line in pixels.
fn runs(line: &Line, frame: Frame, horizontal: &Fitted, vertical: &Fitted) -> Vec<Vec<(f64, f64)>> {
    let mut runs: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for (place, value) in &line.points {
        match value.filter(|value| vertical.holds(*value) && horizontal.holds(*place)) {
            Some(value) => {
                let point = (frame.x(horizontal, *place), frame.y(vertical, value));
                runs.last_mut().expect("one run is always open").push(point);
            }
            None => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}
