//! Groups of bars, one bar a series, with intervals.

use super::canvas::{self, Canvas, Hold, LABEL, LEADING, SMALL, WIDTH};
use super::legend::{self, Swatch};
use super::palette;
use super::scale::{self, Axis, Fitted, Frame};
use super::text::{compact, width, wrap};

/// Which way the bars run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orientation {
    /// Names on the left, bars to the right: best for long names.
    Horizontal,
    /// Names below, bars upwards: best for a few short names.
    Vertical,
}

/// One observation: a value and, if known, the interval that holds it.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    /// The length of the bar.
    pub value: f64,
    /// The ends of the whisker.
    pub interval: Option<(f64, f64)>,
}

impl Bar {
    /// A bar without whisker.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self { value, interval: None }
    }

    /// A bar with a whisker from `low` to `high`.
    #[must_use]
    pub fn between(value: f64, low: f64, high: f64) -> Self {
        Self { value, interval: Some((low, high)) }
    }

    fn ends(&self) -> impl Iterator<Item = f64> + use<> {
        let (low, high) = self.whisker().unwrap_or((self.value, self.value));
        [self.value, low, high].into_iter()
    }

    fn whisker(&self) -> Option<(f64, f64)> {
        self.interval.filter(|(low, high)| low.is_finite() && high.is_finite())
    }
}

/// One bar for each group, in one colour.
#[derive(Clone, Debug)]
pub struct BarSeries {
    /// The name in the legend.
    pub name: String,
    /// One entry a group, in their order; `None` where nothing was measured.
    pub bars: Vec<Option<Bar>>,
}

/// Bars side by side in groups.
#[derive(Clone, Debug)]
pub struct BarChart {
    /// The names of the groups.
    pub groups: Vec<String>,
    /// The bars of each group.
    pub series: Vec<BarSeries>,
    /// What the length of a bar says.
    pub axis: Axis,
    /// Which way the bars run.
    pub orientation: Orientation,
}

/// The thickest that a bar gets.
const THICK: f64 = 52.0;
const MARGIN: f64 = 12.0;

impl BarChart {
    /// Draws the chart.
    #[must_use]
    pub fn svg(&self) -> String {
        match self.orientation {
            Orientation::Horizontal => self.horizontal(),
            Orientation::Vertical => self.vertical(),
        }
    }

    fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.series.iter().map(|series| series.name.as_str())
    }

    fn bar(&self, series: usize, group: usize) -> Option<Bar> {
        self.series[series].bars.get(group).copied().flatten()
    }

    fn fit(&self, wanted_ticks: f64) -> Fitted {
        let bars = self.series.iter().flat_map(|series| series.bars.iter().take(self.groups.len()).flatten());
        self.axis.fit(bars.flat_map(Bar::ends), wanted_ticks)
    }

    fn labels_width(&self) -> f64 {
        let bars = self.series.iter().flat_map(|series| series.bars.iter().flatten());
        bars.map(|bar| width(&compact(bar.value), SMALL)).fold(width("no data", SMALL), f64::max)
    }

    fn horizontal(&self) -> String {
        let page = f64::from(WIDTH);
        let names: Vec<Vec<String>> = self.groups.iter().map(|name| wrap(name, LABEL, 0.3 * page)).collect();
        let widest = names.iter().flatten().map(|line| width(line, LABEL)).fold(0.0, f64::max);
        let thick = if self.series.len() > 1 { 34.0 } else { 44.0 };
        let gap = 0.45 * THICK;
        let slots: Vec<f64> = names
            .iter()
            .map(|lines| (thick * count(self.series.len())).max(LEADING * count(lines.len())) + gap)
            .collect();
        let above = legend::height(self.names(), page - 2.0 * MARGIN)
            + if self.axis.reference.is_some() { LEADING } else { 0.0 }
            + MARGIN;
        let frame = Frame {
            left: MARGIN + widest + 16.0,
            right: page - MARGIN - self.labels_width() - 16.0,
            top: above,
            bottom: above + slots.iter().sum::<f64>() + gap / 2.0,
        };
        let fitted = self.fit(6.0);
        canvas::draw(frame.bottom + scale::BELOW, |canvas| {
            legend::draw(canvas, (MARGIN, 4.0), page - 2.0 * MARGIN, self.names(), |index| {
                Swatch::Box(palette::series(index))
            });
            scale::along_bottom(canvas, frame, &self.axis, &fitted, true);
            let mut top = frame.top + gap / 4.0;
            for (group, slot) in slots.iter().enumerate() {
                let middle = top + slot / 2.0;
                lines(canvas, (frame.left - 16.0, middle), &names[group], Hold::Right);
                for series in 0..self.series.len() {
                    let y = middle + thick * (count(series) - count(self.series.len()) / 2.0 + 0.5);
                    self.lying(canvas, frame, &fitted, (series, group), (y, thick));
                }
                top += slot;
            }
            let base = frame.x(&fitted, fitted.base());
            canvas.line((base, frame.top), (base, frame.bottom), palette::INK, 3);
            scale::reference_up(canvas, frame, &self.axis, &fitted);
        })
    }

    fn lying(
        &self,
        canvas: &Canvas<'_>,
        frame: Frame,
        fitted: &Fitted,
        (series, group): (usize, usize),
        (y, thick): (f64, f64),
    ) {
        let base = frame.x(fitted, fitted.base());
        let Some(bar) = self.bar(series, group).filter(|bar| fitted.holds(bar.value)) else {
            return canvas.text((base + 12.0, y), "no data", SMALL, Hold::Left, palette::MUTED);
        };
        let tip = frame.x(fitted, bar.value);
        canvas.rectangle(
            (base.min(tip), y - thick / 2.0 + 2.0),
            (base.max(tip), y + thick / 2.0 - 2.0),
            palette::series(series),
        );
        let mut end = tip.max(base);
        if let Some((low, high)) = bar.whisker().filter(|(low, _)| fitted.holds(*low)) {
            let (low, high) = (frame.x(fitted, low), frame.x(fitted, high));
            canvas.line((low, y), (high, y), palette::PAPER, 9);
            canvas.line((low, y), (high, y), palette::INK, 4);
            for x in [low, high] {
                canvas.line((x, y - 9.0), (x, y + 9.0), palette::INK, 4);
            }
            end = end.max(high);
        }
        canvas.text((end + 12.0, y), &compact(bar.value), SMALL, Hold::Left, palette::INK);
    }

    fn vertical(&self) -> String {
        let page = f64::from(WIDTH);
        let fitted = self.fit(5.0);
        let left = MARGIN + scale::beside(&fitted);
        let slot = (page - MARGIN - left) / count(self.groups.len().max(1));
        let names: Vec<Vec<String>> = self.groups.iter().map(|name| wrap(name, LABEL, slot - 16.0)).collect();
        let deepest = names.iter().map(Vec::len).max().unwrap_or(1);
        let top = legend::height(self.names(), page - 2.0 * MARGIN) + LEADING;
        let frame = Frame { left, right: page - MARGIN, top, bottom: top + 520.0 };
        let thick = (slot * 0.8 / count(self.series.len().max(1))).min(2.2 * THICK);
        let labelled = self.labels_width() <= thick + 4.0;
        canvas::draw(frame.bottom + LEADING * (count(deepest) + 0.6), |canvas| {
            legend::draw(canvas, (MARGIN, 4.0), page - 2.0 * MARGIN, self.names(), |index| {
                Swatch::Box(palette::series(index))
            });
            scale::along_left(canvas, frame, &self.axis, &fitted);
            for (group, name) in names.iter().enumerate() {
                let middle = frame.left + slot * (count(group) + 0.5);
                let below = frame.bottom + LEADING * (0.3 + count(name.len()) / 2.0);
                lines(canvas, (middle, below), name, Hold::Centre);
                for series in 0..self.series.len() {
                    let x = middle + thick * (count(series) - count(self.series.len()) / 2.0 + 0.5);
                    self.standing(canvas, frame, &fitted, (series, group), (x, thick, labelled));
                }
            }
            let base = frame.y(&fitted, fitted.base());
            canvas.line((frame.left, base), (frame.right, base), palette::INK, 3);
            scale::reference_across(canvas, frame, &self.axis, &fitted);
        })
    }

    fn standing(
        &self,
        canvas: &Canvas<'_>,
        frame: Frame,
        fitted: &Fitted,
        (series, group): (usize, usize),
        (x, thick, labelled): (f64, f64, bool),
    ) {
        let base = frame.y(fitted, fitted.base());
        let Some(bar) = self.bar(series, group).filter(|bar| fitted.holds(bar.value)) else {
            return canvas.upright((x, base - width("no data", SMALL) / 2.0 - 12.0), "no data", SMALL, palette::MUTED);
        };
        let tip = frame.y(fitted, bar.value);
        canvas.rectangle(
            (x - thick / 2.0 + 2.0, base.min(tip)),
            (x + thick / 2.0 - 2.0, base.max(tip)),
            palette::series(series),
        );
        let mut end = tip.min(base);
        if let Some((low, high)) = bar.whisker().filter(|(low, _)| fitted.holds(*low)) {
            let (low, high) = (frame.y(fitted, low), frame.y(fitted, high));
            canvas.line((x, low), (x, high), palette::PAPER, 9);
            canvas.line((x, low), (x, high), palette::INK, 4);
            for y in [low, high] {
                canvas.line((x - 9.0, y), (x + 9.0, y), palette::INK, 4);
            }
            end = end.min(high);
        }
        if labelled {
            canvas.text((x, end - 20.0), &compact(bar.value), SMALL, Hold::Centre, palette::INK);
        }
    }
}

/// A count as a factor of lengths.
#[expect(clippy::cast_precision_loss, reason = "a chart has few of anything")]
pub(super) fn count(number: usize) -> f64 {
    number as f64
}

/// Writes lines of text around a middle.
pub(super) fn lines(canvas: &Canvas<'_>, (x, middle): (f64, f64), lines: &[String], hold: Hold) {
    for (index, line) in lines.iter().enumerate() {
        let y = middle + LEADING * (count(index) - count(lines.len()) / 2.0 + 0.5);
        canvas.text((x, y), line, LABEL, hold, palette::INK);
    }
}
