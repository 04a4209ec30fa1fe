//! Percentiles of stored histograms. Buckets are put together first; percentiles themselves are never averaged.

use std::{collections::HashMap, hash::Hash};

use anyhow::Result;
use polars::prelude::{
    DataFrame, DataType, Expr, IdxCa, IdxSize, IntoLazy, LazyFrame, NamedFrom, Series, SortMultipleOptions, col,
};

/// Percentiles of `histogram` (columns `by…`, `bucket`, `count`), one row per group: for each `(quantile, name)` a column with
/// the smallest bucket below or at which that share of the observations lies. Groups with fewer than `10 / (1 - quantile)`
/// observations get an empty cell, since a percentile with fewer than ten observations above it is an anecdote.
///
/// # Errors
/// When polars refuses an expression.
pub fn percentiles(
    histogram: &LazyFrame,
    by: &[&str],
    bucket: &str,
    count: &str,
    quantiles: &[(f64, &str)],
) -> Result<LazyFrame> {
    let columns: Vec<Expr> = by.iter().copied().chain([bucket, count]).map(col).collect();
    // As slices below, because polars hands out one cell at a time through a call that is not inlined.
    let mut frame = histogram.clone().select(columns).collect()?.drop_nulls(Some(&[bucket, count]))?;
    frame.rechunk_mut();
    let groups = groups(&frame, by, bucket, count)?;
    let firsts: Vec<IdxSize> = groups.iter().map(|group| IdxSize::try_from(group.row)).collect::<Result<_, _>>()?;
    let mut found = frame.select(by.iter().copied())?.take(&IdxCa::from_vec("rows".into(), firsts))?;
    for (quantile, name) in quantiles {
        let cells: Vec<Option<i64>> = groups.iter().map(|group| percentile(&group.pairs, *quantile)).collect();
        found.with_column(Series::new((*name).into(), cells).into())?;
    }
    Ok(found.sort(by.iter().copied(), SortMultipleOptions::default())?.lazy())
}

/// The observations of one group.
struct Group {
    /// A row that shows which group it is.
    row: usize,
    /// Bucket and count, ascending; a bucket may come several times.
    pairs: Vec<(i64, i64)>,
}

/// The groups of a frame in one piece. Rows of one trial stand together, so that most of them have the group of the row before; to look each
/// up among all groups would cost many times as much.
fn groups(frame: &DataFrame, by: &[&str], bucket: &str, count: &str) -> Result<Vec<Group>> {
    let keys: Vec<Vec<u32>> =
        by.iter().map(|name| codes(frame.column(name)?.as_materialized_series())).collect::<Result<_, _>>()?;
    let (buckets, counts) = (frame.column(bucket)?.i64()?.cont_slice()?, frame.column(count)?.i64()?.cont_slice()?);
    let mut groups: HashMap<Vec<u32>, Group> = HashMap::new();
    let mut row = 0;
    while row < buckets.len() {
        let key: Vec<u32> = keys.iter().map(|codes| codes[row]).collect();
        let differs = |other: usize| keys.iter().zip(&key).any(|(codes, code)| codes[other] != *code);
        let end = (row + 1..buckets.len()).find(|other| differs(*other)).unwrap_or(buckets.len());
        let group = groups.entry(key).or_insert_with(|| Group { row, pairs: Vec::new() });
        group.pairs.extend(buckets[row..end].iter().copied().zip(counts[row..end].iter().copied()));
        row = end;
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.iter_mut().for_each(|group| group.pairs.sort_unstable());
    Ok(groups)
}

/// A small number for each value of a column, the same for the same value.
fn codes(series: &Series) -> Result<Vec<u32>> {
    fn number<T: Hash + Eq + Copy>(values: impl Iterator<Item = Option<T>>) -> Vec<u32> {
        let mut known: HashMap<Option<T>, u32> = HashMap::new();
        let mut last: Option<(Option<T>, u32)> = None;
        let mut code = |value: Option<T>| match last {
            Some((before, code)) if before == value => code,
            _ => {
                let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
                let code = *known.entry(value).or_insert(next);
                last = Some((value, code));
                code
            }
        };
        values.map(&mut code).collect()
    }
    Ok(match series.dtype() {
        DataType::String => number(series.str()?.iter()),
        DataType::Boolean => number(series.bool()?.iter()),
        _ => number(series.i64()?.iter()),
    })
}

/// The smallest bucket of ascending `(bucket, count)` pairs at or below which that share of all observations lies.
fn percentile(pairs: &[(i64, i64)], quantile: f64) -> Option<i64> {
    let total: i64 = pairs.iter().map(|(_, count)| count).sum();
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let total = total as f64;
    // Ten observations above it; the tolerance forgives that 1 - 0.9 is not exactly a tenth.
    if total * (1.0 - quantile) < 10.0 - 1e-6 {
        return None;
    }
    let mut below = 0.0;
    pairs.iter().find_map(|(bucket, count)| {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let count = *count as f64;
        below += count;
        (below >= total * quantile).then_some(*bucket)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::df;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_percentile_is_that_of_the_raw_observations(mut raw in prop::collection::vec(1..500_i64, 100..300)) {
            // Half of the observations come as single buckets, as from two workers: merging must not matter.
            let buckets = df!["arm" => vec!["a"; raw.len()], "us" => &raw, "n" => vec![1_i64; raw.len()]].unwrap().lazy();
            let found = percentiles(&buckets, &["arm"], "us", "n", &[(0.5, "p50"), (0.9, "p90")]).unwrap().collect().unwrap();
            raw.sort_unstable();
            for (quantile, name) in [(0.5, "p50"), (0.9, "p90")] {
                #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
                let rank = (raw.len() as f64 * quantile).ceil() as usize;
                let cell = found.column(name).unwrap().i64().unwrap().get(0);
                prop_assert_eq!(cell, Some(raw[rank - 1]));
            }
        }
    }

    #[test]
    fn exactly_enough_observations_fill_the_cell() {
        assert_eq!(percentile(&[(7, 100)], 0.9), Some(7));
        assert_eq!(percentile(&[(7, 99)], 0.9), None);
        assert_eq!(percentile(&[(7, 1000)], 0.99), Some(7));
    }

    #[test]
    fn too_few_observations_leave_the_cell_empty() {
        let buckets = df!["arm" => ["a"], "us" => [5_i64], "n" => [99_i64]].unwrap().lazy();
        let found =
            percentiles(&buckets, &["arm"], "us", "n", &[(0.5, "p50"), (0.99, "p99")]).unwrap().collect().unwrap();
        assert_eq!(found.column("p50").unwrap().i64().unwrap().get(0), Some(5));
        assert_eq!(found.column("p99").unwrap().i64().unwrap().get(0), None);
    }
}
