//! Percentiles of ten million rows of histograms, as many as a long run of many workers leaves: how long they take and how much memory the
//! process needs for them.

mod memory;

use std::{hint::black_box, time::Instant};

use experiments::aggregate::percentiles;
use memory::peak_bytes;
use polars::prelude::{IntoLazy as _, df};

const ROWS: usize = 10_000_000;
const ARMS: [&str; 5] = ["off", "value", "fragment", "view", "all"];
const BLOCKS: usize = 100;

fn main() {
    // Trial by trial, as a step writes them.
    let trial = ROWS / (ARMS.len() * BLOCKS);
    let number = |row: usize| i64::try_from(row).unwrap_or(0);
    let frame = df![
        "block" => (0..ROWS).map(|row| number(row / trial / ARMS.len())).collect::<Vec<_>>(),
        "arm" => (0..ROWS).map(|row| ARMS[row / trial % ARMS.len()]).collect::<Vec<_>>(),
        "us" => (0..ROWS).map(|row| number(100 + row * 7919 % 1_500 * 20)).collect::<Vec<_>>(),
        "n" => (0..ROWS).map(|row| number(1 + row % 7)).collect::<Vec<_>>(),
    ]
    .expect("the columns are equally long")
    .lazy();
    let before = peak_bytes();
    let started = Instant::now();
    let found = percentiles(&frame, &["block", "arm"], "us", "n", &[(0.5, "p50"), (0.99, "p99")])
        .and_then(|frame| Ok(frame.collect()?))
        .expect("polars agrees");
    let took_s = started.elapsed().as_secs_f64();
    println!(
        "percentiles of {ROWS} histogram rows in {} groups: {took_s:.2} s, at most {} MB ({} MB of them rows)",
        black_box(found.height()),
        peak_bytes() / 1_000_000,
        before / 1_000_000
    );
}
