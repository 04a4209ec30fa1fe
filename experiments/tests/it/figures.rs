//! The charts: snapshots of small ones, and what must hold for any data.

use experiments::figures::{
    Axis, Bar, BarChart, BarSeries, DotPlot, DotRow, Line, LineChart, Orientation, Span, StackedBars,
};
use proptest::prelude::*;

fn bars(orientation: Orientation) -> BarChart {
    BarChart {
        groups: vec!["off".to_owned(), "all three".to_owned()],
        series: vec![
            BarSeries {
                name: "list".to_owned(),
                bars: vec![Some(Bar::between(840.0, 800.0, 890.0)), Some(Bar::new(120.0))],
            },
            BarSeries { name: "post".to_owned(), bars: vec![Some(Bar::between(410.0, 390.0, 430.0)), None] },
        ],
        axis: Axis::linear("CPU time per request (µs)"),
        orientation,
    }
}

#[test]
fn bars_lie() {
    insta::assert_snapshot!(bars(Orientation::Horizontal).svg());
}

#[test]
fn bars_stand() {
    insta::assert_snapshot!(bars(Orientation::Vertical).svg());
}

#[test]
fn pieces_add_up_and_a_missing_one_makes_a_lower_bound() {
    let chart = StackedBars {
        bars: vec!["off".to_owned(), "view".to_owned()],
        components: vec![
            ("app".to_owned(), vec![Some(300.0), Some(90.0)]),
            ("PostgreSQL".to_owned(), vec![Some(500.0), None]),
        ],
        axis: Axis::linear("CPU time per request (µs)"),
    };
    insta::assert_snapshot!(chart.svg());
}

#[test]
fn a_line_is_interrupted_where_nothing_was_measured() {
    let chart = LineChart {
        lines: vec![Line {
            name: "app-1".to_owned(),
            points: vec![(0.0, Some(10.0)), (1.0, Some(12.0)), (2.0, None), (3.0, Some(60.0)), (4.0, Some(9.0))],
        }],
        spans: vec![Span { from: 2.0, to: 4.0, label: "surge".to_owned() }],
        x_axis: Axis::linear("time (s)"),
        y_axis: Axis::logarithmic("latency (ms)"),
    };
    insta::assert_snapshot!(chart.svg());
}

#[test]
fn dots_are_joined_in_pairs() {
    let chart = DotPlot {
        series: vec!["without index".to_owned(), "with index".to_owned()],
        rows: vec![
            DotRow { name: "posts by author".to_owned(), dots: vec![Some(31.0), Some(0.12)] },
            DotRow { name: "one post".to_owned(), dots: vec![None, Some(0.05)] },
        ],
        axis: Axis::logarithmic("execution time (ms)"),
    };
    insta::assert_snapshot!(chart.svg());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the data, the text is valid XML without stray numbers, and drawing twice gives the same bytes.
    #[test]
    fn any_data_can_be_drawn(name in any::<String>(), values in prop::collection::vec(prop::option::of(any::<f64>()), 0..6), log: bool) {
        let axis = if log { Axis::logarithmic(name.clone()) } else { Axis::linear(name.clone()) };
        let groups: Vec<String> = values.iter().map(|_| name.clone()).collect();
        let series = vec![BarSeries { name: name.clone(), bars: values.iter().map(|value| value.map(Bar::new)).collect() }; 2];
        let chart = BarChart { groups: groups.clone(), series, axis: axis.clone(), orientation: Orientation::Horizontal };
        let standing = BarChart { orientation: Orientation::Vertical, ..chart.clone() };
        let lines = LineChart {
            lines: vec![Line { name: name.clone(), points: values.iter().enumerate().map(|(index, value)| (f64::from(u8::try_from(index).unwrap_or(0)), *value)).collect() }],
            spans: Vec::new(), x_axis: Axis::linear("s"), y_axis: axis.clone(),
        };
        let dots = DotPlot { series: groups.clone(), rows: vec![DotRow { name: name.clone(), dots: values.clone() }], axis: axis.clone() };
        let stacked = StackedBars { bars: groups.clone(), components: vec![(name.clone(), values.clone())], axis };
        for svg in [chart.svg(), standing.svg(), lines.svg(), dots.svg(), stacked.svg()] {
            prop_assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            prop_assert!(!svg.chars().any(|character| character.is_control() && character != '\n'));
        }
        prop_assert_eq!(dots.svg(), dots.svg());
    }
}
