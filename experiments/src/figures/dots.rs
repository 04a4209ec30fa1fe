//! Pairs over several orders of magnitude: one row a name, one dot a series, joined by a line.

use super::bars::{count, lines};
use super::canvas::{self, Hold, LABEL, LEADING, Mark, SMALL, WIDTH};
use super::legend::{self, Swatch};
use super::palette;
use super::scale::{self, Axis, Frame};
use super::text::{width, wrap};

/// One row of dots.
#[derive(Clone, Debug)]
pub struct DotRow {
    /// The name at the left.
    pub name: String,
    /// One entry a series; `None` where nothing was measured.
    pub dots: Vec<Option<f64>>,
}

/// Dots on a common axis, such as the time of a query without and with an index.
#[derive(Clone, Debug)]
pub struct DotPlot {
    /// The names of the dots, for the legend.
    pub series: Vec<String>,
    /// The rows from above.
    pub rows: Vec<DotRow>,
    /// What the place of a dot says; logarithmic where the dots lie far apart.
    pub axis: Axis,
}

const MARGIN: f64 = 12.0;

/// Between two rows, where there is room for it.
const GAP: f64 = 22.0;

/// Where it would be higher, rows come closer: with its caption it has to fit on a page, of which 16 cm by 24.6 cm are for text.
const HEIGHT_MAX: f64 = 2200.0;

impl DotPlot {
    /// Draws the chart.
    #[must_use]
    pub fn svg(&self) -> String {
        let page = f64::from(WIDTH);
        let names: Vec<Vec<String>> = self.rows.iter().map(|row| wrap(&row.name, LABEL, 0.36 * page)).collect();
        let widest = names.iter().flatten().map(|line| width(line, LABEL)).fold(0.0, f64::max);
        let series = || self.series.iter().map(String::as_str);
        let above = if self.axis.reference.is_some() { LEADING } else { 0.0 };
        let top = legend::height(series(), page - 2.0 * MARGIN) + above + MARGIN;
        let texts: Vec<f64> = names.iter().map(|name| LEADING * count(name.len().max(1))).collect();
        let room = HEIGHT_MAX - top - 8.0 - scale::BELOW - texts.iter().sum::<f64>();
        let gap = (room / count(texts.len().max(1))).clamp(0.0, GAP);
        let slots: Vec<f64> = texts.iter().map(|text| text + gap).collect();
        let frame = Frame {
            left: MARGIN + widest + 24.0,
            right: page - 60.0,
            top,
            bottom: top + slots.iter().sum::<f64>() + 8.0,
        };
        let fitted = self.axis.fit(self.rows.iter().flat_map(|row| row.dots.iter().copied().flatten()), 8.0);
        canvas::draw(frame.bottom + scale::BELOW, |canvas| {
            legend::draw(canvas, (MARGIN, 4.0), page - 2.0 * MARGIN, series(), |index| {
                Swatch::Mark(palette::series(index), Mark::of(index))
            });
            scale::along_bottom(canvas, frame, &self.axis, &fitted, true);
            scale::reference_up(canvas, frame, &self.axis, &fitted);
            let mut slot_top = frame.top + 4.0;
            for ((row, name), slot) in self.rows.iter().zip(&names).zip(&slots) {
                let y = slot_top + slot / 2.0;
                lines(canvas, (frame.left - 20.0, y), name, Hold::Right);
                canvas.line((frame.left, y), (frame.right, y), palette::GRID, 2);
                let dots: Vec<(usize, f64)> = (row.dots.iter().enumerate())
                    .filter_map(|(index, dot)| {
                        dot.filter(|dot| fitted.holds(*dot)).map(|dot| (index, frame.x(&fitted, dot)))
                    })
                    .collect();
                let (low, high) = dots
                    .iter()
                    .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, x)| (low.min(*x), high.max(*x)));
                if low < high {
                    canvas.line((low, y), (high, y), palette::MUTED, 5);
                }
                if dots.is_empty() {
                    canvas.text((frame.left + 12.0, y), "no data", SMALL, Hold::Left, palette::MUTED);
                }
                for (index, x) in dots {
                    canvas.mark((x, y), Mark::of(index), palette::series(index));
                }
                slot_top += slot;
            }
        })
    }
}
