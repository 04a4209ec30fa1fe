//! The step `schema`: what the database consists of, how many bytes it takes, and what each secondary index costs the writer.
//! What an index gives the reader is the business of `explain`.

mod catalogue;
mod prices;
mod rows;
mod summary;

use anyhow::Result;
use app::db::SECONDARY_INDEXES;

use super::{Bench, Figure, Measuring, Profile, Step, find};
use crate::{
    aggregate::Frames,
    figures::{Axis, Bar, BarChart, BarSeries, Orientation},
    results::{
        Row, Table,
        summary::{Cell, SummaryTable},
    },
};
use rows::{ColumnRow, ConstraintRow, IndexBuildRow, IndexRow, PriceRow, RelationRow};

/// The step.
pub(super) struct SchemaStep;

impl Step for SchemaStep {
    fn name(&self) -> &'static str {
        "schema"
    }

    fn title(&self) -> &'static str {
        "Schema and the price of its indexes"
    }

    fn question(&self) -> &'static str {
        "What does the blog's database consist of, and what does each secondary index cost in bytes and in time on every insert?"
    }

    fn tables(&self) -> &'static [Table] {
        &[
            ColumnRow::TABLE,
            ConstraintRow::TABLE,
            IndexRow::TABLE,
            RelationRow::TABLE,
            IndexBuildRow::TABLE,
            PriceRow::TABLE,
        ]
    }

    fn figure_names(&self) -> &'static [&'static str] {
        &["prices"]
    }

    fn arms(&self) -> Vec<String> {
        ["none", "all"]
            .into_iter()
            .map(str::to_owned)
            .chain(SECONDARY_INDEXES.iter().map(|index| index.name.to_owned()))
            .collect()
    }

    fn own_parameters(&self, profile: &Profile) -> Result<Vec<(&'static str, serde_json::Value)>> {
        Ok(vec![("schema", serde_json::to_value(profile.schema)?)])
    }

    fn planned_s(&self, profile: &Profile) -> f64 {
        let inserted = f64::from(profile.schema.posts_per_batch + profile.schema.comments_per_batch);
        1.0 + f64::from(profile.schema.repeats) * inserted / 10_000.0
    }

    fn measure<'a>(&'a self, bench: &'a mut Bench<'_>) -> Measuring<'a> {
        Box::pin(measure(bench))
    }

    fn summarise(&self, frames: &Frames) -> Result<Vec<SummaryTable>> {
        summary::summarise(frames)
    }

    fn draw(&self, summaries: &[SummaryTable]) -> Result<Vec<Figure>> {
        let prices = find(summaries, "prices")?;
        let bar = |key: &str| {
            let number = |column: &str| prices.cell(key, column).and_then(Cell::number);
            let interval = number("time_low_ratio").zip(number("time_high_ratio"));
            number("time_ratio").map(|value| Bar { value, interval })
        };
        let groups: Vec<String> = prices.keys().collect();
        let bars = groups.iter().map(|key| bar(key)).collect();
        let chart = BarChart {
            series: vec![BarSeries { name: "time of an insert".to_owned(), bars }],
            groups,
            axis: Axis::linear("time of an insert with the index / without it").with_reference(1.0, "no difference"),
            orientation: Orientation::Horizontal,
        };
        Ok(vec![Figure { name: "prices".to_owned(), svg: chart.svg() }])
    }
}

async fn measure(bench: &mut Bench<'_>) -> Result<()> {
    bench.progress.say(0.05, "seeding the blog");
    let database = bench.blog.clone_seeded("schema", app::db::Indexes::Without).await?;
    let pool = bench.blog.pool(&database).await?;
    bench.progress.say(0.4, "building each index");
    let builds = bench.timed(catalogue::build_indexes(&pool)).await?;
    bench.out.rows(&builds)?;
    bench.out.rows(&catalogue::columns(&pool).await?)?;
    bench.out.rows(&catalogue::constraints(&pool).await?)?;
    bench.out.rows(&catalogue::indexes(&pool).await?)?;
    bench.out.rows(&catalogue::relations(&pool).await?)?;
    for index in SECONDARY_INDEXES {
        bench.out.text(&format!("{}.sql", index.name), index.create_sql)?;
    }
    let rows = prices::measure(bench, &pool).await?;
    bench.out.rows(&rows)?;
    pool.close().await;
    bench.blog.drop_database(&database).await
}
