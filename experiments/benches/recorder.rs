//! What the bench itself costs: recording a request and making percentiles of what was recorded, each beside a reference that is
//! measured in the same run. The ratio is the result; the times belong to this machine.

use std::{hint::black_box, time::Instant};

use experiments::{aggregate::percentiles, load::recorder::SparseHistogram};
use hdrhistogram::Histogram;
use polars::prelude::{IntoLazy as _, df};

const ROUNDS: usize = 15;
const REQUESTS: u64 = 200_000;

fn main() {
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
