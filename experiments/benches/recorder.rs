//! What the bench itself costs: recording a request and making percentiles of what was recorded, each beside a reference that is
//! measured in the same run. The ratio is the result; the times belong to this machine.

mod memory;

use std::{hint::black_box, sync::Arc, time::Instant};

use experiments::{
    aggregate::percentiles,
    load::recorder::{CacheStatus, Recorder, Sample, SparseHistogram},
};
use hdrhistogram::Histogram;
use memory::peak_bytes;
use polars::prelude::{IntoLazy as _, df};

const ROUNDS: usize = 15;
const REQUESTS: u64 = 200_000;

fn main() {
    // First, because the most memory that was ever used is what the system counts.
    reduce();
    let latencies_us: Vec<u64> = (0..REQUESTS).map(|number| 100 + (number * 2_654_435_761) % 50_000).collect();
    println!("{:<44} {:>12} {:>12} {:>7}", "what", "ours", "reference", "ratio");
    compare(
        "record a latency / dense HDR histogram",
        REQUESTS,
        || {
            let mut histogram = SparseHistogram::default();
            latencies_us.iter().for_each(|&latency_us| histogram.record(latency_us));
            black_box(histogram.count());
        },
        || {
            let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid");
            latencies_us.iter().for_each(|&latency_us| histogram.record(latency_us).expect("it is in bounds"));
            black_box(histogram.len());
        },
    );
    record_requests(&latencies_us);
    let mut histogram = SparseHistogram::default();
    latencies_us.iter().for_each(|&latency_us| histogram.record(latency_us));
    let (buckets, counts): (Vec<i64>, Vec<i64>) = histogram
        .iter()
        .map(|(bucket, count)| (i64::try_from(bucket).unwrap_or(0), i64::try_from(count).unwrap_or(0)))
        .unzip();
    let frame =
        df!["arm" => vec!["a"; buckets.len()], "us" => buckets, "n" => counts].expect("the columns are equally long");
    compare(
        "p99 of 200,000 by histogram / by sorting",
        REQUESTS,
        || {
            let found =
                percentiles(&frame.clone().lazy(), &["arm"], "us", "n", &[(0.99, "p99")]).expect("polars agrees");
            black_box(found.collect().expect("polars agrees").height());
        },
        || {
            let mut sorted = latencies_us.clone();
            sorted.sort_unstable();
            black_box(sorted[sorted.len() * 99 / 100]);
        },
    );
}

/// A whole request: three times, its cell, its second. The reference keeps the sample as it is and counts nothing.
fn record_requests(latencies_us: &[u64]) {
    let servers = ["app-1", "app-2"].map(Arc::<str>::from);
    let samples: Vec<Sample> = (0_u32..)
        .zip(latencies_us)
        .map(|(number, &latency_us)| Sample {
            phase: 1,
            second: i32::try_from(number / 10_000).unwrap_or(0),
            tenth: number / 1_000,
            completed_second: i32::try_from(number / 10_000).unwrap_or(0),
            completed_in_phase: true,
            endpoint: u16::try_from(number % 5).unwrap_or(0),
            scheduled: true,
            timed: true,
            served_by: Arc::clone(&servers[number as usize % 2]),
            cache: CacheStatus::Hit,
            status: 200,
            failure: None,
            expected: true,
            body_bytes: 15_000,
            latency_us,
            service_us: latency_us,
            lag_us: latency_us % 500,
        })
        .collect();
    compare(
        "record a request / keep its sample",
        REQUESTS,
        || {
            let mut recorder = Recorder::default();
            samples.iter().for_each(|sample| recorder.record(sample));
            black_box(recorder.cells().len());
        },
        || {
            black_box(samples.clone().len());
        },
    );
}

/// What eight workers saw of 10⁹ requests in ten minutes, in ten cells a second, added up to one histogram.
fn reduce() {
    const WORKERS: u64 = 8;
    const SECONDS: u64 = 600;
    const CELLS: u64 = 10;
    const BUCKETS: u64 = 50;
    const TOTAL: u64 = 1_000_000_000;
    let count = TOTAL / (WORKERS * SECONDS * CELLS * BUCKETS);
    let cells: Vec<SparseHistogram> = (0..WORKERS * SECONDS * CELLS)
        .map(|cell| (0..BUCKETS).map(|bucket| (100 + cell % 700 + bucket * 20, count)).collect())
        .collect();
    let mut times_s = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let mut merged = SparseHistogram::default();
        cells.iter().for_each(|cell| merged.merge(cell));
        black_box(merged.quantile_us(0.99));
        times_s.push(started.elapsed().as_secs_f64());
    }
    times_s.sort_by(f64::total_cmp);
    println!(
        "{:<44} {:>9.0} ms for {} requests in {} histograms, at most {} MB with them",
        "reduce the histograms of eight workers",
        times_s[ROUNDS / 2] * 1e3,
        count * WORKERS * SECONDS * CELLS * BUCKETS,
        cells.len(),
        peak_bytes() / 1_000_000
    );
}

/// Runs both in turn and prints the median time of each per request, and their ratio.
fn compare(what: &str, requests: u64, ours: impl Fn(), reference: impl Fn()) {
    let time_ns = |work: &dyn Fn()| {
        let started = Instant::now();
        work();
        started.elapsed().as_secs_f64() * 1e9 / requests as f64
    };
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        own.push(time_ns(&ours));
        other.push(time_ns(&reference));
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    };
    let (own, other) = (median(&mut own), median(&mut other));
    println!("{what:<44} {own:>9.1} ns {other:>9.1} ns {:>7.2}", own / other);
}
