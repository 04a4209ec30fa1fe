//! Percentiles of stored histograms. Buckets are added up first; percentiles themselves are never averaged.

use anyhow::Result;
use polars::prelude::{Expr, JoinArgs, JoinType, LazyFrame, SortMultipleOptions, col, len, lit};

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
    let keys: Vec<Expr> = by.iter().map(|name| col(*name)).collect();
    let mut sorting: Vec<&str> = by.to_vec();
    sorting.push(bucket);
    let merged = histogram
        .clone()
        .group_by_stable(keys.iter().cloned().chain([col(bucket)]).collect::<Vec<_>>())
        .agg([col(count).sum()])
        .sort(sorting, SortMultipleOptions::default())
        .with_columns([
            col(count).cum_sum(false).over(keys.clone())?.alias("below"),
            col(count).sum().over(keys.clone())?.alias("total"),
        ]);
    let mut result = merged.clone().group_by_stable(keys.clone()).agg([len().alias("buckets")]).select(keys.clone());
    for (quantile, name) in quantiles {
        let found = merged
            .clone()
            .filter(col("below").gt_eq(col("total") * lit(*quantile)))
            .filter(col("total").gt_eq(lit(10.0 / (1.0 - quantile))))
            .group_by_stable(keys.clone())
            .agg([col(bucket).min().alias(*name)]);
        result = result.join(found, keys.clone(), keys.clone(), JoinArgs::new(JoinType::Left));
    }
    Ok(result.sort(by.to_vec(), SortMultipleOptions::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::{IntoLazy, df};
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
    fn too_few_observations_leave_the_cell_empty() {
        let buckets = df!["arm" => ["a"], "us" => [5_i64], "n" => [99_i64]].unwrap().lazy();
        let found =
            percentiles(&buckets, &["arm"], "us", "n", &[(0.5, "p50"), (0.99, "p99")]).unwrap().collect().unwrap();
        assert_eq!(found.column("p50").unwrap().i64().unwrap().get(0), Some(5));
        assert_eq!(found.column("p99").unwrap().i64().unwrap().get(0), None);
    }
}
