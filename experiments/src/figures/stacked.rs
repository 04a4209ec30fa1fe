//! What a total is made of: one bar an arm, one piece a component.

use super::bars::{count, lines};
use super::canvas::{self, Hold, LABEL, LEADING, SMALL, WIDTH};
use super::legend::{self, Swatch};
use super::palette;
use super::scale::{self, Axis, Frame};
use super::text::{compact, width, wrap};

/// Horizontal bars made of pieces, with the total at their end.
#[derive(Clone, Debug)]
pub struct StackedBars {
    /// The names of the bars, such as the arms of a step.
    pub bars: Vec<String>,
    /// The components in their order from the base, each with one entry a bar; `None` where nothing was measured.
    pub components: Vec<(String, Vec<Option<f64>>)>,
    /// What the length of a piece says. The scale is linear whatever it says here, because pieces of a logarithm do not add up.
    pub axis: Axis,
}

const MARGIN: f64 = 12.0;
const THICK: f64 = 48.0;
const GAP: f64 = 26.0;

impl StackedBars {
    fn piece(&self, component: usize, bar: usize) -> Option<f64> {
        self.components[component].1.get(bar).copied().flatten().filter(|value| value.is_finite() && *value >= 0.0)
    }

    /// The sum of the pieces that are there, and whether all of them are.
    fn total(&self, bar: usize) -> (Option<f64>, bool) {
        let pieces: Vec<Option<f64>> = (0..self.components.len()).map(|component| self.piece(component, bar)).collect();
        let known: Vec<f64> = pieces.iter().copied().flatten().collect();
        ((!known.is_empty()).then(|| known.iter().sum()), known.len() == pieces.len())
    }

    /// What stands at the end of a bar. A sum with a piece missing is a lower bound, and says so.
    fn note(&self, bar: usize) -> String {
        match self.total(bar) {
            (Some(total), true) => compact(total),
            (Some(total), false) => format!("≥ {}", compact(total)),
            (None, _) => "no data".to_owned(),
        }
    }

    /// Draws the chart.
    #[must_use]
    pub fn svg(&self) -> String {
        let page = f64::from(WIDTH);
        let names: Vec<Vec<String>> = self.bars.iter().map(|name| wrap(name, LABEL, 0.3 * page)).collect();
        let widest = names.iter().flatten().map(|line| width(line, LABEL)).fold(0.0, f64::max);
        let slots: Vec<f64> = names.iter().map(|name| THICK.max(LEADING * count(name.len())) + GAP).collect();
        let notes = (0..self.bars.len()).map(|bar| width(&self.note(bar), SMALL)).fold(0.0, f64::max);
        let components = || self.components.iter().map(|(name, _)| name.as_str());
        let top = legend::height(components(), page - 2.0 * MARGIN) + MARGIN;
        let frame = Frame {
            left: MARGIN + widest + 16.0,
            right: page - MARGIN - notes - 16.0,
            top,
            bottom: top + slots.iter().sum::<f64>() + GAP / 2.0,
        };
        let axis = Axis { scale: scale::Scale::Linear, ..self.axis.clone() };
        let fitted = axis.fit((0..self.bars.len()).filter_map(|bar| self.total(bar).0), 6.0);
        canvas::draw(frame.bottom + scale::BELOW, |canvas| {
            legend::draw(canvas, (MARGIN, 4.0), page - 2.0 * MARGIN, components(), |index| {
                Swatch::Box(palette::series(index))
            });
            scale::along_bottom(canvas, frame, &axis, &fitted, true);
            let mut slot_top = frame.top + GAP / 4.0;
            for (bar, slot) in slots.iter().enumerate() {
                let y = slot_top + slot / 2.0;
                lines(canvas, (frame.left - 16.0, y), &names[bar], Hold::Right);
                let mut from = 0.0;
                for component in 0..self.components.len() {
                    let Some(value) = self.piece(component, bar) else {
                        continue;
                    };
                    let (start, end) = (frame.x(&fitted, from), frame.x(&fitted, from + value));
                    canvas.rectangle((start, y - THICK / 2.0), (end, y + THICK / 2.0), palette::series(component));
                    from += value;
                }
                canvas.text((frame.x(&fitted, from) + 12.0, y), &self.note(bar), SMALL, Hold::Left, palette::INK);
                slot_top += slot;
            }
            let base = frame.x(&fitted, 0.0);
            canvas.line((base, frame.top), (base, frame.bottom), palette::INK, 3);
        })
    }
}
