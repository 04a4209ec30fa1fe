//! What was found, beside what is promised: a table for people and a line of JSON for programs. Pure.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::Result;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use super::{agreement::Peak, contest::Tried, site::Local};
use crate::stats::{Comparison, Direction, SEED, compare, median};

/// What the blog promises.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Promise {
    AtLeast(f64),
    AtMost(f64),
}

/// One row: a path against something, and whether the promise was kept.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    path: String,
    against: String,
    unit: &'static str,
    value: f64,
    low: Option<f64>,
    high: Option<f64>,
    /// The same ratio in the closed loop, where waiting costs less and differences show more; nothing is promised of it.
    closed: Option<f64>,
    promise: Promise,
    kept: bool,
}

/// What one contender did, as medians over the blocks.
#[derive(Debug, Clone, Serialize)]
struct Contender {
    name: &'static str,
    cpu_us_per_request: f64,
    p50_us: f64,
    p99_us: f64,
    closed_cpu_us_per_request: f64,
    closed_per_s: f64,
    closed_cpu_share: f64,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    findings: Vec<Finding>,
    contenders: Vec<Contender>,
    postgres_us: Vec<(f64, f64)>,
    page_us: Vec<(f64, f64)>,
    /// What our generator and `wrk` found, block by block.
    peaks: Vec<(Peak, Peak)>,
    /// What a hit asked for, by way of caching: statements and commands, of the page that asked for most.
    hits: BTreeMap<&'static str, (f64, f64)>,
}

/// The pairs of the contest: the path, who walks it, against whom, in words, and the least ratio.
const PAIRS: [(&str, &str, &str, &str, f64); 4] = [
    ("cached list page, fast mode", "fast", "bare", "bare handler, same bytes", 0.90),
    ("cached list page, strict mode", "strict", "bare_marks", "bare handler with one MGET of marks", 0.85),
    ("cached list page, Redis only", "redis_only", "bare_page", "bare handler with one MGET of the page", 0.85),
    ("cached list page, fast mode", "fast", "nginx_file", "NGINX, same bytes as a file", 0.70),
];

const MEMORY_BYTES_MAX: f64 = 60e6;

impl Findings {
    /// What a hit of one page asked of the stores.
    pub(super) fn hit(&mut self, local: Local, statements: f64, commands: f64) {
        let most = self.hits.entry(local.word()).or_default();
        *most = (most.0.max(statements), most.1.max(commands));
    }

    /// What a page asked of PostgreSQL without any cache.
    pub(super) fn uncached(&mut self, page: &str, statements: f64, most: f64) {
        self.counted(format!("{page} without a cache"), "SQL statements", "per page", statements, most);
    }

    /// Ends the counting.
    pub(super) fn counted_all(&mut self) {
        for (local, (statements, commands)) in std::mem::take(&mut self.hits) {
            let path = format!("a hit of any page, {local}");
            let most = if local == Local::Fast.word() { 0.0 } else { 1.0 };
            self.counted(path.clone(), "SQL statements", "per hit", statements, 0.0);
            self.counted(path, "Redis round trips", "per hit", commands, most);
        }
    }

    /// PostgreSQL's time for a page and for pgbench's statement, in one block.
    pub(super) fn postgres(&mut self, uncached_us: f64, pgbench_us: f64) {
        self.postgres_us.push((uncached_us, pgbench_us));
    }

    /// Times of the first page and of one far down, in one block.
    pub(super) fn pages(&mut self, first_us: f64, deep_us: f64) {
        self.page_us.push((first_us, deep_us));
    }

    /// The highest rate that our generator and `wrk` found, in one block.
    pub(super) fn peaks(&mut self, ours: Peak, theirs: Peak) {
        self.peaks.push((ours, theirs));
    }

    /// Whether the generators agree: by how much longer an answer takes with ours, as a share of what ours costs for each.
    fn agreement(&mut self) {
        if self.peaks.is_empty() {
            return;
        }
        let of = |value: fn(&(Peak, Peak)) -> f64| median(&self.peaks.iter().map(value).collect::<Vec<_>>());
        let excess = of(|(ours, theirs)| (1e6 / ours.per_s - 1e6 / theirs.per_s).abs() / ours.generator_us);
        let rates = [of(|(ours, _)| ours.per_s), of(|(_, theirs)| theirs.per_s)].map(|rate| rate.unwrap_or(f64::NAN));
        let costs = [of(|(ours, _)| ours.generator_us), of(|(_, theirs)| theirs.generator_us)];
        let costs = costs.map(|cost| cost.unwrap_or(f64::NAN));
        let path = format!("peak by this bench: {:.0}/s, its generator {:.1} µs a request", rates[0], costs[0]);
        let against = format!("wrk: {:.0}/s, {:.1} µs", rates[1], costs[1]);
        let unit = "difference of a request / generator's cost";
        let value = excess.unwrap_or(f64::NAN);
        self.push(path, &against, unit, value, None, None, Promise::AtMost(1.0));
    }

    /// The most memory of one server.
    #[expect(clippy::cast_precision_loss, reason = "memory stays far below 2^53 bytes")]
    pub(super) fn memory(&mut self, bytes: u64) {
        self.counted(
            "one server under load".to_owned(),
            "memory (peak)",
            "MB",
            bytes as f64 / 1e6,
            MEMORY_BYTES_MAX / 1e6,
        );
    }

    /// What everybody did in the contest, and with it the ratios of all blocks.
    pub(super) fn contest(&mut self, tried: BTreeMap<&'static str, Vec<Tried>>) {
        for (path, ours, theirs, against, least) in PAIRS {
            let (Some(ours), Some(theirs)) = (tried.get(ours), tried.get(theirs)) else { continue };
            let ratios = |value: fn(&Tried) -> f64| -> Vec<f64> {
                ours.iter().zip(theirs).map(|(ours, theirs)| value(ours) / value(theirs)).collect()
            };
            let at_rate = ratios(|tried| tried.per_cpu_s);
            self.compared(path, against, "requests per CPU-second", &at_rate, Promise::AtLeast(least));
            let closed = median(&ratios(|tried| tried.closed_per_cpu_s));
            self.findings.last_mut().into_iter().for_each(|finding| finding.closed = closed);
        }
        let postgres: Vec<f64> = self.postgres_us.iter().map(|(ours, theirs)| ours / theirs).collect();
        self.compared(
            "uncached list page",
            "pgbench -M prepared, same statement",
            "PostgreSQL CPU",
            &postgres,
            Promise::AtMost(1.10),
        );
        let pages: Vec<f64> = self.page_us.iter().map(|(first, deep)| deep / first).collect();
        self.compared("page 10,000 by keyset", "page 1", "time", &pages, Promise::AtMost(1.5));
        self.agreement();
        self.contenders = tried.into_iter().map(|(name, tried)| contender(name, &tried)).collect();
    }

    fn compared(&mut self, path: &str, against: &str, unit: &'static str, ratios: &[f64], promise: Promise) {
        // The verdict is not asked for: the promise is a bound, not a difference that matters.
        let Comparison { ratio, interval, .. } = compare(ratios, Direction::HigherIsBetter, 0.05, SEED);
        let value = ratio.unwrap_or(f64::NAN);
        let (low, high) = (interval.map(|interval| interval.low), interval.map(|interval| interval.high));
        self.push(path.to_owned(), against, unit, value, low, high, promise);
    }

    fn counted(&mut self, path: String, against: &str, unit: &'static str, value: f64, most: f64) {
        self.push(path, against, unit, value, None, None, Promise::AtMost(most));
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of a row")]
    fn push(
        &mut self,
        path: String,
        against: &str,
        unit: &'static str,
        value: f64,
        low: Option<f64>,
        high: Option<f64>,
        promise: Promise,
    ) {
        // Not a number is not kept, so the comparison is written the positive way.
        let kept = match promise {
            Promise::AtLeast(least) => value >= least,
            Promise::AtMost(most) => value <= most,
        };
        let against = against.to_owned();
        self.findings.push(Finding { path, against, unit, value, low, high, closed: None, promise, kept });
    }

    /// Whether every promise was kept.
    pub(super) fn all_kept(&self) -> bool {
        self.findings.iter().all(|finding| finding.kept)
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut promises = table(&["path", "against", "of", "found", "95 % interval", "promised", "", "closed loop"]);
        for finding in &self.findings {
            let promised = match finding.promise {
                Promise::AtLeast(least) => format!("≥ {least:.2}"),
                Promise::AtMost(most) => format!("≤ {most:.2}"),
            };
            let interval = match (finding.low, finding.high) {
                (Some(low), Some(high)) => format!("{low:.3} – {high:.3}"),
                _ => String::new(),
            };
            let found = format!("{:.3}", finding.value);
            let kept = if finding.kept { "kept" } else { "MISSED" };
            let closed = finding.closed.map_or_else(String::new, |closed| format!("{closed:.3}"));
            promises.add_row([
                &finding.path,
                &finding.against,
                finding.unit,
                &found,
                &interval,
                &promised,
                kept,
                &closed,
            ]);
        }
        let heads = [
            "cached list page from",
            "CPU a request",
            "p50",
            "p99",
            "closed loop",
            "CPU a request there",
            "CPU share there",
        ];
        let mut contest = table(&heads);
        for one in &self.contenders {
            contest.add_row([
                one.name.to_owned(),
                format!("{:.1} µs", one.cpu_us_per_request),
                format!("{:.0} µs", one.p50_us),
                format!("{:.0} µs", one.p99_us),
                format!("{:.0} /s", one.closed_per_s),
                format!("{:.1} µs", one.closed_cpu_us_per_request),
                format!("{:.0} %", one.closed_cpu_share * 100.0),
            ]);
        }
        for table in [&mut promises, &mut contest] {
            for column in table.column_iter_mut().skip(1) {
                column.set_cell_alignment(CellAlignment::Left);
            }
        }
        let mut text = format!("{contest}\n");
        let _ = writeln!(
            text,
            "At an equal offered rate, then in a closed loop; medians over blocks. Where the CPU share is far below the whole, the\n\
             closed loop is as fast as the generator and not as the server. Promised is the ratio at the equal rate.\n"
        );
        let _ = write!(text, "{promises}");
        text
    }

    /// For programs.
    ///
    /// # Errors
    /// Never in practice.
    pub(super) fn json(&self) -> Result<String> {
        let postgres_us =
            self.postgres_us.iter().map(|(ours, theirs)| serde_json::json!({"blog": ours, "pgbench": theirs}));
        let page_us = self.page_us.iter().map(|(first, deep)| serde_json::json!({"first": first, "deep": deep}));
        Ok(serde_json::to_string(&serde_json::json!({
            "bench": "app",
            "kept": self.all_kept(),
            "findings": self.findings,
            "contenders": self.contenders,
            "postgres_us_per_page": postgres_us.collect::<Vec<_>>(),
            "page_us": page_us.collect::<Vec<_>>(),
        }))?)
    }
}

fn contender(name: &'static str, tried: &[Tried]) -> Contender {
    let of = |value: fn(&Tried) -> f64| median(&tried.iter().map(value).collect::<Vec<_>>()).unwrap_or(f64::NAN);
    Contender {
        name,
        cpu_us_per_request: of(|tried| 1e6 / tried.per_cpu_s),
        p50_us: of(|tried| tried.p50_us),
        p99_us: of(|tried| tried.p99_us),
        closed_cpu_us_per_request: of(|tried| 1e6 / tried.closed_per_cpu_s),
        closed_per_s: of(|tried| tried.closed_per_s),
        closed_cpu_share: of(|tried| tried.closed_share),
    }
}

fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heads.iter().copied());
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(per_cpu_s: f64) -> Vec<Tried> {
        let one = Tried {
            per_cpu_s,
            p50_us: 100.0,
            p99_us: 200.0,
            closed_per_cpu_s: per_cpu_s,
            closed_per_s: 1.0,
            closed_share: 0.5,
        };
        vec![one; 6]
    }

    fn findings(fast: f64) -> Findings {
        let mut findings = Findings::default();
        findings.contest(BTreeMap::from([("fast", tried(fast)), ("bare", tried(100.0)), ("nginx_file", tried(100.0))]));
        findings.findings.retain(|finding| finding.unit == "requests per CPU-second");
        findings
    }

    #[test]
    fn a_promise_is_a_bound_on_the_typical_ratio() {
        assert!(findings(95.0).all_kept());
        assert!(!findings(89.0).all_kept());
        let mut counted = Findings::default();
        counted.hit(Local::Strict, 0.0, 1.0);
        counted.hit(Local::Strict, 0.0, 0.5);
        counted.counted_all();
        assert!(counted.all_kept() && counted.findings[1].value == 1.0);
        counted.hit(Local::Fast, 0.0, 0.01);
        counted.counted_all();
        assert!(!counted.all_kept());
        let mut nothing = Findings::default();
        nothing.compared("a path", "nobody", "time", &[], Promise::AtMost(1.0));
        assert!(!nothing.all_kept(), "what was not measured is not kept");
    }

    #[test]
    fn the_table_says_what_was_missed() {
        let text = findings(89.0).table();
        assert!(text.contains("MISSED") && text.contains("0.890") && text.contains("≥ 0.90"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&findings(89.0).json().unwrap()).unwrap();
        assert_eq!((json["kept"].as_bool(), json["findings"].as_array().unwrap().len()), (Some(false), 2));
    }
}
