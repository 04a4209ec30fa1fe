//! The step `cache`: the same load on the blog with each of its cache levels, and with all of them.

mod summary;

use anyhow::Result;

use super::{
    Bench, Figure, Measuring, Profile, Setup, Step, find,
    trial::{
        self, Arm, Detail, Load,
        rows::{CounterRow, LatencyRow, ResourceRow, SliceRow, TrialRow},
    },
};
use crate::{
    aggregate::Frames,
    figures::{Axis, Bar, BarChart, BarSeries, Orientation, StackedBars},
    load::spec::Phase,
    results::{
        Row, Table,
        summary::{Cell, SummaryTable},
    },
    stack::{Balancing, CacheLevels},
};

/// The step.
pub struct CacheStep;

/// The arms; the first is the baseline. The second is the same once more: what the two differ by is noise.
const ARMS: [Arm; 6] = [
    arm("off", CacheLevels::OFF),
    arm("again", CacheLevels::OFF),
    arm("value", CacheLevels { view: false, fragment: false, value: true }),
    arm("fragment", CacheLevels { view: false, fragment: true, value: false }),
    arm("view", CacheLevels { view: true, fragment: false, value: false }),
    arm("all", CacheLevels::ALL),
];

const fn arm(name: &'static str, caches: CacheLevels) -> Arm {
    Arm { name, setup: Setup::new(caches, Balancing::RoundRobin, 2) }
}

/// The components in the order in which a request meets them.
pub(super) const COMPONENTS: [&str; 5] = ["nginx", "app-1", "app-2", "redis", "postgres"];

impl Step for CacheStep {
    fn name(&self) -> &'static str {
        "cache"
    }

    fn title(&self) -> &'static str {
        "Cache levels, before and after"
    }

    fn question(&self) -> &'static str {
        "What do the value, fragment and view caches, alone and together, save in load time and in resources under the same load?"
    }

    fn tables(&self) -> &'static [Table] {
        &[TrialRow::TABLE, LatencyRow::TABLE, ResourceRow::TABLE, CounterRow::TABLE, SliceRow::TABLE]
    }

    fn figure_names(&self) -> &'static [&'static str] {
        &["cpu", "latency"]
    }

    fn arms(&self) -> Vec<String> {
        ARMS.iter().map(|arm| arm.name.to_owned()).collect()
    }

    fn own_parameters(&self, profile: &Profile) -> Result<Vec<(&'static str, serde_json::Value)>> {
        Ok(vec![("cache", serde_json::to_value(profile.cache)?)])
    }

    fn planned_s(&self, profile: &Profile) -> f64 {
        let cache = &profile.cache;
        trial::planned_s(ARMS.len(), cache.slices(), cache.warm_up_s + cache.measured_s + cache.peak_s)
    }

    fn measure<'a>(&'a self, bench: &'a mut Bench<'_>) -> Measuring<'a> {
        Box::pin(measure(bench))
    }

    fn summarise(&self, frames: &Frames) -> Result<Vec<SummaryTable>> {
        summary::summarise(frames, &ARMS.map(|arm| arm.name))
    }

    fn draw(&self, summaries: &[SummaryTable]) -> Result<Vec<Figure>> {
        Ok(vec![
            Figure { name: "cpu".to_owned(), svg: cpu_chart(find(summaries, "components")?) },
            Figure { name: "latency".to_owned(), svg: latency_chart(find(summaries, "endpoints")?) },
        ])
    }
}

async fn measure(bench: &mut Bench<'_>) -> Result<()> {
    let cache = bench.profile.cache;
    let phases = vec![
        Phase::warm_up(cache.warm_up_s, Some(cache.rate_per_s)),
        Phase::new("steady", cache.measured_s, Some(cache.rate_per_s)),
        Phase::new("peak", cache.peak_s, None),
    ];
    let load = Load::new(phases, trial::mix(bench).await?, cache.users.max(cache.peak_users));
    let tried =
        trial::run_interleaved(bench, &ARMS, (cache.slices(), "cache"), &load, Detail::Endpoint, 0.0..1.0).await?;
    trial::write(bench, &tried)?;
    trial::write_slices(bench, &tried)
}

/// Server CPU time per request, component by component.
fn cpu_chart(components: &SummaryTable) -> String {
    let bars: Vec<String> = ARMS.iter().map(|arm| arm.name.to_owned()).collect();
    let cell = |arm: &str, component: &str| {
        components
            .cell(&format!("{arm}_{}", crate::aggregate::slug(component)), "cpu_us_per_request")
            .and_then(Cell::number)
    };
    let components = COMPONENTS
        .iter()
        .map(|component| ((*component).to_owned(), bars.iter().map(|arm| cell(arm, component)).collect()))
        .collect();
    StackedBars { bars, components, axis: Axis::linear("server CPU time per request (µs)") }.svg()
}

/// The median load time of the two pages that caches serve, arm by arm.
fn latency_chart(endpoints: &SummaryTable) -> String {
    let series = [("list_posts", "list of posts"), ("post", "post page")].map(|(endpoint, name)| BarSeries {
        name: name.to_owned(),
        bars: ARMS
            .iter()
            .map(|arm| {
                let value = endpoints.cell(&format!("{}_{endpoint}", arm.name), "p50_us").and_then(Cell::number);
                value.map(|value| Bar::new(value / 1000.0))
            })
            .collect(),
    });
    BarChart {
        groups: ARMS.iter().map(|arm| arm.name.to_owned()).collect(),
        series: series.into(),
        axis: Axis::linear("median load time at the offered rate (ms)"),
        orientation: Orientation::Vertical,
    }
    .svg()
}
