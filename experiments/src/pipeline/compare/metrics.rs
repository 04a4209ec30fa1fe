//! Which values of two runs are compared, in the order of the report: one list. A value that only describes (how many rows there are)
//! or whose noise nobody measured (a size of memory) is not in it.

use crate::{
    aggregate::{Metric, Spread},
    stats::Direction::{self, HigherIsBetter, LowerIsBetter},
};

const RATIO: Spread = Spread::Ratio { low: "low_ratio", high: "high_ratio" };
const TIME_RATIO: Spread = Spread::Ratio { low: "time_low_ratio", high: "time_high_ratio" };
const OF_TIME_RATIO: Spread = Spread::OfRow { low: "time_low_ratio", high: "time_high_ratio" };
const FETCH: Spread = Spread::Interval { low: "fetch_with_low_us", high: "fetch_with_high_us" };

/// The list.
pub const METRICS: &[Metric] = &[
    all("schema.tables", "heap_bytes", LowerIsBetter, Spread::Counted),
    all("schema.indexes", "size_bytes", LowerIsBetter, Spread::Counted),
    all("schema.prices", "with_us_per_row", LowerIsBetter, OF_TIME_RATIO),
    all("schema.prices", "time_ratio", LowerIsBetter, TIME_RATIO),
    all("explain.queries", "touched_with_blocks", LowerIsBetter, Spread::Counted),
    all("explain.queries", "execution_with_us", LowerIsBetter, OF_TIME_RATIO),
    all("explain.queries", "time_ratio", LowerIsBetter, TIME_RATIO),
    all("explain.shapes", "fetch_with_us", LowerIsBetter, FETCH),
    all("cache.arms", "cpu_us_per_request", LowerIsBetter, of_cache("_cpu", Some("cpu"))),
    all("cache.arms", "p50_us", LowerIsBetter, of_cache("_p50", Some("p50"))),
    all("cache.arms", "p99_us", LowerIsBetter, of_cache("_p99", Some("p99"))),
    all("cache.arms", "peak_per_s", HigherIsBetter, of_cache("_peak", None)),
    some("cache.comparison", "_cpu", "ratio", LowerIsBetter, RATIO),
    some("cache.comparison", "_p50", "ratio", LowerIsBetter, RATIO),
    some("cache.comparison", "_p99", "ratio", LowerIsBetter, RATIO),
    some("cache.comparison", "_peak", "ratio", HigherIsBetter, RATIO),
    some("surge.phases", "_before", "cpu_us_per_request", LowerIsBetter, of_surge("_cpu", Some("cpu"))),
    some("surge.phases", "_before", "p50_us", LowerIsBetter, of_surge("_before_p50", Some("p50"))),
    some("surge.phases", "_surge", "p50_us", LowerIsBetter, of_surge("_surge_p50", Some("p50"))),
    some("surge.phases", "_surge", "p99_us", LowerIsBetter, of_surge("_surge_p99", Some("p99"))),
    some("surge.phases", "_surge", "achieved_per_s", HigherIsBetter, of_surge("_surge_achieved", None)),
    some("surge.comparison", "_cpu", "ratio", LowerIsBetter, RATIO),
    some("surge.comparison", "_before_p50", "ratio", LowerIsBetter, RATIO),
    some("surge.comparison", "_surge_p50", "ratio", LowerIsBetter, RATIO),
    some("surge.comparison", "_surge_p99", "ratio", LowerIsBetter, RATIO),
    some("surge.comparison", "_surge_achieved", "ratio", HigherIsBetter, RATIO),
    all("surge.nodes", "achieved_per_s", HigherIsBetter, of_surge("nodes_achieved", None)),
    some("surge.comparison", "nodes_achieved", "ratio", HigherIsBetter, RATIO),
    all("capacity.rates", "capacity_per_s", HigherIsBetter, Spread::Interval { low: "low_per_s", high: "high_per_s" }),
    all("capacity.gain", "ratio", HigherIsBetter, RATIO),
];

const fn all(table: &'static str, column: &'static str, direction: Direction, spread: Spread) -> Metric {
    some(table, "", column, direction, spread)
}

const fn some(
    table: &'static str,
    rows: &'static str,
    column: &'static str,
    direction: Direction,
    spread: Spread,
) -> Metric {
    Metric { table, rows, column, direction, spread }
}

const fn of_cache(rows: &'static str, floor: Option<&'static str>) -> Spread {
    Spread::OfComparison { table: "cache.comparison", rows, floor }
}

const fn of_surge(rows: &'static str, floor: Option<&'static str>) -> Spread {
    Spread::OfComparison { table: "surge.comparison", rows, floor }
}
