//! From values to pixels, and where the ticks stand.

use super::canvas::{Canvas, Hold, LABEL, LEADING, SMALL};
use super::palette;
use super::text::{compact, width};

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal distances are equal differences. Always contains zero, so that lengths can be compared.
    Linear,
    /// Equal distances are equal ratios. Values that are not positive have no place on it and are left out.
    Logarithmic,
    /// Percentiles: equal distances are equal ratios of what is left to a hundred, as in the plots of HdrHistogram, so that the slowest
    /// few have the room that they deserve. A hundred has no place on it.
    Percentile,
}

/// What an axis says and how it is spread.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The quantity and, in parentheses, its unit: `CPU time per request (µs)`.
    pub title: String,
    /// How values are spread.
    pub scale: Scale,
    /// A value that deserves a line across the chart, and its label, such as `1.0, "no change"`.
    pub reference: Option<(f64, String)>,
}

impl Axis {
    /// A linear axis with this title.
    pub fn linear(title: impl Into<String>) -> Self {
        Self { title: title.into(), scale: Scale::Linear, reference: None }
    }

    /// A logarithmic axis with this title.
    pub fn logarithmic(title: impl Into<String>) -> Self {
        Self { title: title.into(), scale: Scale::Logarithmic, reference: None }
    }

    /// An axis of percentiles with this title.
    pub fn percentile(title: impl Into<String>) -> Self {
        Self { title: title.into(), scale: Scale::Percentile, reference: None }
    }

    /// The same axis with a line at `value`.
    #[must_use]
    pub fn with_reference(mut self, value: f64, label: impl Into<String>) -> Self {
        self.reference = Some((value, label.into()));
        self
    }

    /// Fits the axis to the values (and to its reference) and gives the ticks round numbers.
    pub(super) fn fit(&self, values: impl Iterator<Item = f64>, wanted_ticks: f64) -> Fitted {
        let all = values.chain(self.reference.iter().map(|(value, _)| *value));
        match self.scale {
            Scale::Linear => fit_linear(all, wanted_ticks),
            Scale::Logarithmic => fit_logarithmic(all, wanted_ticks),
            Scale::Percentile => fit_percentile(all, wanted_ticks),
        }
    }
}

/// An axis whose range is known, not yet its place.
#[derive(Clone, Debug)]
pub(super) struct Fitted {
    scale: Scale,
    low: f64,
    high: f64,
    pub(super) ticks: Vec<f64>,
}

impl Fitted {
    /// Whether the value has a place on this axis.
    pub(super) fn holds(&self, value: f64) -> bool {
        let has_place = match self.scale {
            Scale::Linear => true,
            Scale::Logarithmic => value > 0.0,
            Scale::Percentile => value < HUNDRED,
        };
        value.is_finite() && has_place
    }

    /// The share of the way from the low end to the high end, for a value that the axis holds.
    pub(super) fn share(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => (value / self.low).log10() / (self.high / self.low).log10(),
            Scale::Percentile => {
                let left = |value: f64| HUNDRED - value;
                (left(self.low) / left(value)).log10() / (left(self.low) / left(self.high)).log10()
            }
        }
    }

    /// Where bars begin: at zero, or at the low end of an axis that need not have it.
    pub(super) fn base(&self) -> f64 {
        match self.scale {
            Scale::Linear => 0.0,
            Scale::Logarithmic | Scale::Percentile => self.low,
        }
    }

    /// The width of the widest tick label.
    pub(super) fn label_width(&self) -> f64 {
        self.ticks.iter().map(|tick| width(&compact(*tick), LABEL)).fold(0.0, f64::max)
    }
}

/// The smallest of 1, 2, 2.5 and 5 times a power of ten that is at least `wanted`.
fn round_step(wanted: f64) -> f64 {
    let power = 10_f64.powf(wanted.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= wanted * 0.999_999)
        .unwrap_or(power * 10.0)
}

fn fit_linear(values: impl Iterator<Item = f64>, wanted_ticks: f64) -> Fitted {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let high = if high <= low { low + 1.0 } else { high };
    let ticks = even_ticks(low, high, wanted_ticks);
    Fitted { scale: Scale::Linear, low: ticks[0], high: ticks[ticks.len() - 1], ticks }
}

/// Round numbers at equal distances that enclose the range, which must not be empty.
fn even_ticks(low: f64, high: f64, wanted_ticks: f64) -> Vec<f64> {
    let step = round_step((high - low) / wanted_ticks);
    #[expect(clippy::cast_possible_truncation, reason = "the range is a few steps")]
    let (first, last) = ((low / step + 1e-9).floor() as i64, (high / step - 1e-9).ceil() as i64);
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let ticks = (first..=last).map(|index| index as f64 * step).collect();
    ticks
}

/// Values within so small a ratio would crowd in the middle of a logarithmic axis whose ticks are 1, 2 and 5 times a power of ten.
const NARROW: f64 = 2.0;

fn fit_logarithmic(values: impl Iterator<Item = f64>, wanted_ticks: f64) -> Fitted {
    let (low, high) = values
        .filter(|value| value.is_finite() && *value > 0.0)
        .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high) = if high > 0.0 { (low, high) } else { (1.0, 10.0) };
    if high < low * NARROW && high > low * 1.000_001 {
        // The lowest tick is more than half of the lowest value, since a step is much less than that, and so is positive.
        let ticks = even_ticks(low, high, wanted_ticks.max(3.0));
        return Fitted { scale: Scale::Logarithmic, low: ticks[0], high: ticks[ticks.len() - 1], ticks };
    }
    #[expect(clippy::cast_possible_truncation, reason = "decimal exponents are small")]
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let factors: &[f64] = match f64::from(last - first) {
        decades if decades * 3.0 <= wanted_ticks + 2.0 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let all: Vec<f64> =
        (first..=last).flat_map(|exponent| factors.iter().map(move |factor| factor * 10_f64.powi(exponent))).collect();
    let start = all.iter().rposition(|tick| *tick <= low * 1.000_001).unwrap_or(0);
    let end = all
        .iter()
        .position(|tick| *tick >= high * 0.999_999)
        .unwrap_or(all.len() - 1)
        .max(start + 1)
        .min(all.len() - 1);
    let ticks = if start < end { all[start..=end].to_vec() } else { vec![low, low * 10.0] };
    Fitted { scale: Scale::Logarithmic, low: ticks[0], high: ticks[ticks.len() - 1], ticks }
}

/// The end of an axis of percentiles, which it never reaches.
const HUNDRED: f64 = 100.0;

/// What is left to a hundred, on a logarithmic axis, from its other end.
fn fit_percentile(values: impl Iterator<Item = f64>, wanted_ticks: f64) -> Fitted {
    let left = fit_logarithmic(values.map(|value| HUNDRED - value), wanted_ticks);
    let ticks = left.ticks.iter().rev().map(|tick| HUNDRED - tick).collect();
    Fitted { scale: Scale::Percentile, low: HUNDRED - left.high, high: HUNDRED - left.low, ticks }
}

/// The box in which data is drawn.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Frame {
    /// The pixel of a value on the axis that runs along the bottom.
    pub(super) fn x(&self, axis: &Fitted, value: f64) -> f64 {
        self.left + (self.right - self.left) * axis.share(value)
    }

    /// The pixel of a value on the axis that runs up the left side.
    pub(super) fn y(&self, axis: &Fitted, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * axis.share(value)
    }
}

/// The room that an axis along the bottom needs below the frame.
pub(super) const BELOW: f64 = 2.6 * LEADING;

/// Draws grid, labels and title of an axis along the bottom.
pub(super) fn along_bottom(canvas: &Canvas<'_>, frame: Frame, axis: &Axis, fitted: &Fitted, grid: bool) {
    let mut free_from = f64::NEG_INFINITY;
    for tick in &fitted.ticks {
        let x = frame.x(fitted, *tick);
        if grid {
            canvas.line((x, frame.top), (x, frame.bottom), palette::GRID, 2);
        }
        canvas.line((x, frame.bottom), (x, frame.bottom + 8.0), palette::INK, 2);
        let label = compact(*tick);
        let half = width(&label, LABEL) / 2.0;
        // A label that would touch its neighbour is left out; its tick stays.
        if x - half > free_from {
            canvas.text((x, frame.bottom + 0.8 * LEADING), &label, LABEL, Hold::Centre, palette::INK);
            free_from = x + half + 12.0;
        }
    }
    canvas.text(
        ((frame.left + frame.right) / 2.0, frame.bottom + 2.0 * LEADING),
        &axis.title,
        LABEL,
        Hold::Centre,
        palette::INK,
    );
}

/// The room that an axis up the left side needs to the left of the frame.
pub(super) fn beside(fitted: &Fitted) -> f64 {
    fitted.label_width() + 20.0 + 1.6 * LEADING
}

/// Draws grid, labels and title of an axis up the left side.
pub(super) fn along_left(canvas: &Canvas<'_>, frame: Frame, axis: &Axis, fitted: &Fitted) {
    for tick in &fitted.ticks {
        let y = frame.y(fitted, *tick);
        canvas.line((frame.left, y), (frame.right, y), palette::GRID, 2);
        canvas.text((frame.left - 14.0, y), &compact(*tick), LABEL, Hold::Right, palette::INK);
    }
    let x = frame.left - beside(fitted) + 0.6 * LEADING;
    for (index, line) in
        super::text::wrap(&axis.title, LABEL, frame.bottom - frame.top + LEADING).iter().take(2).enumerate()
    {
        #[expect(clippy::cast_precision_loss, reason = "two lines at most")]
        let shift = index as f64 * LEADING;
        canvas.upright((x + shift, (frame.top + frame.bottom) / 2.0), line, LABEL, palette::INK);
    }
}

/// Draws the reference of an axis up the left side as a dashed line with its label above its right end.
pub(super) fn reference_across(canvas: &Canvas<'_>, frame: Frame, axis: &Axis, fitted: &Fitted) {
    if let Some((value, label)) = axis.reference.as_ref().filter(|(value, _)| fitted.holds(*value)) {
        let y = frame.y(fitted, *value);
        canvas.dashed(&[(frame.left, y), (frame.right, y)], palette::MUTED, 3, &[14.0, 10.0]);
        canvas.text((frame.right - 6.0, y - 18.0), label, SMALL, Hold::Right, palette::MUTED);
    }
}

/// Draws the reference of an axis along the bottom as a dashed line with its label above the frame.
pub(super) fn reference_up(canvas: &Canvas<'_>, frame: Frame, axis: &Axis, fitted: &Fitted) {
    if let Some((value, label)) = axis.reference.as_ref().filter(|(value, _)| fitted.holds(*value)) {
        let x = frame.x(fitted, *value);
        canvas.dashed(&[(x, frame.top), (x, frame.bottom)], palette::MUTED, 3, &[14.0, 10.0]);
        let half = width(label, SMALL) / 2.0;
        let held = x.clamp(frame.left + half, (frame.right - half).max(frame.left + half));
        canvas.text((held, frame.top - 18.0), label, SMALL, Hold::Centre, palette::MUTED);
    }
}

#[cfg(test)]
mod tests {
    use super::Axis;

    #[test]
    fn ticks_are_round_and_enclose_the_data() {
        let fitted = Axis::linear("").fit([3.0, 47.0].into_iter(), 5.0);
        assert_eq!(fitted.ticks, [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
        let fitted = Axis::logarithmic("").fit([0.4, 900.0, 0.0, -1.0].into_iter(), 6.0);
        assert_eq!(fitted.ticks, [0.1, 1.0, 10.0, 100.0, 1000.0]);
        let fitted = Axis::logarithmic("").fit([3.0, 18.0].into_iter(), 6.0);
        assert_eq!(fitted.ticks, [2.0, 5.0, 10.0, 20.0]);
    }

    #[test]
    fn ratios_near_one_fill_their_axis() {
        let fitted = Axis::logarithmic("").with_reference(1.0, "").fit([0.91, 1.09].into_iter(), 8.0);
        let ticks: Vec<f64> = fitted.ticks.iter().map(|tick| (tick * 1e3).round() / 1e3).collect();
        assert_eq!(ticks, [0.9, 0.925, 0.95, 0.975, 1.0, 1.025, 1.05, 1.075, 1.1]);
        assert!((fitted.share(0.9), fitted.share(1.1)) == (0.0, 1.0) && fitted.share(1.0) > 0.5);
    }

    #[test]
    fn the_slowest_hundredth_has_as_much_room_as_the_tenth_before_it() {
        let fitted = Axis::percentile("").fit([90.0, 99.9, 100.0].into_iter(), 8.0);
        let ticks: Vec<f64> = fitted.ticks.iter().map(|tick| (tick * 1e3).round() / 1e3).collect();
        assert_eq!(ticks, [90.0, 95.0, 98.0, 99.0, 99.5, 99.8, 99.9]);
        assert!((fitted.share(90.0), fitted.share(99.9)) == (0.0, 1.0) && (fitted.share(99.0) - 0.5).abs() < 1e-9);
        assert!(fitted.holds(99.99) && !fitted.holds(100.0));
    }

    #[test]
    fn no_data_still_has_an_axis() {
        for axis in [Axis::linear(""), Axis::logarithmic(""), Axis::percentile("")] {
            let fitted = axis.fit(std::iter::empty(), 5.0);
            assert!(fitted.ticks.len() > 1);
            assert!(fitted.ticks.iter().all(|tick| (0.0..=1.0).contains(&fitted.share(*tick))), "{fitted:?}");
        }
    }

    #[test]
    fn one_value_or_negative_values_fit() {
        assert!(Axis::logarithmic("").fit([10.0].into_iter(), 5.0).ticks.len() > 1);
        let fitted = Axis::linear("").fit([-3.0, 4.0].into_iter(), 5.0);
        assert_eq!((fitted.ticks[0], fitted.base()), (-4.0, 0.0));
    }
}
