//! Summaries of the step `explain`. Pure. Polars merges the executions of each arm; what pairs the arms block by block is made of
//! rows, because a verdict needs the ratios themselves.

mod fetches;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use app::db::SECONDARY_INDEXES;
use polars::prelude::{DataType, Expr, JoinArgs, JoinType, col, lit};

use super::{
    measure::ARMS,
    rows::{NodeRow, ParameterRow, PlanRow, QueryRow},
};
use crate::{
    aggregate::{Frames, column, to_rows, to_summary},
    results::summary::{Cell, SummaryColumn, SummaryTable},
    stats::{Comparison, Direction, SEED, compare},
};

/// What stands where a case uses no secondary index.
const NO_INDEX: &str = "none";

pub(super) fn summarise(frames: &Frames) -> Result<Vec<SummaryTable>> {
    let arms = arms(frames)?;
    let queries = queries(frames, &arms)?;
    let shape_arms = fetches::arms(frames)?;
    let shapes = fetches::of_a_page(frames, &shape_arms)?;
    let all_posts = fetches::of_all_posts(frames)?;
    let overview = overview(frames, &queries, &shapes, &all_posts)?;
    Ok(vec![overview, queries, arms, parameters(frames)?, shapes, shape_arms, all_posts])
}

/// One row per case and arm: the medians over the blocks.
fn arms(frames: &Frames) -> Result<SummaryTable> {
    let touched = || col("hit_blocks") + col("read_blocks");
    let case_and_arm = || [col("case"), col("arm")];
    let key = || (col("case") + lit("_") + col("arm")).alias("key");
    let executions = frames.lazy::<PlanRow>()?.group_by_stable(case_and_arm()).agg([
        col("execution_us").median().alias("execution_us"),
        col("planning_us").median().alias("planning_us"),
        col("rows").max().alias("rows"),
        touched().median().cast(DataType::Int64).alias("touched_blocks"),
        col("read_blocks").median().cast(DataType::Int64).alias("read_blocks"),
        col("temp_blocks").max().alias("temp_blocks"),
        col("execution_us").count().cast(DataType::Int64).alias("executions"),
        col("plan_hash").drop_nulls().n_unique().cast(DataType::Int64).alias("plans"),
        col("error").count().cast(DataType::Int64).alias("errors"),
    ]);
    let nodes = frames.lazy::<NodeRow>()?.group_by_stable(case_and_arm()).agg([
        col("node").count().cast(DataType::Int64).alias("nodes"),
        col("q_error_ratio").max().alias("q_error_ratio"),
    ]);
    let columns = [
        ("key", "the case and the arm"),
        ("case", "the query and, unless it is the main one, the variant of its values"),
        ("arm", "without or with the secondary indexes"),
        ("execution_us", "median time of the executor"),
        ("planning_us", "median time of the planner"),
        ("rows", "rows that came back"),
        ("touched_blocks", "median of the blocks touched, in the shared buffers or not"),
        ("read_blocks", "median of those that were not in the shared buffers"),
        ("temp_blocks", "blocks of temporary files"),
        ("nodes", "nodes of the plan"),
        ("q_error_ratio", "the worst estimate of rows in the plan, as a factor"),
        ("executions", "executions that were measured"),
        ("plans", "different plans among them"),
        ("errors", "executions that ran into the time limit"),
    ];
    let selected: Vec<Expr> = columns[1..].iter().map(|(name, _)| col(*name)).collect();
    let frame = executions
        .join(nodes, case_and_arm(), case_and_arm(), JoinArgs::new(JoinType::Left))
        .select([vec![key()], selected].concat())
        .sort(["case", "arm"], Default::default());
    to_summary("explain", "arms", frame, &columns)
}

/// One row per case, in the order of the app's list: the arms side by side, and what may be said of their difference.
fn queries(frames: &Frames, arms: &SummaryTable) -> Result<SummaryTable> {
    let purposes: BTreeMap<String, String> =
        frames.rows::<QueryRow>()?.into_iter().map(|row| (row.query, row.purpose)).collect();
    let plans = frames.rows::<PlanRow>()?;
    let nodes = frames.rows::<NodeRow>()?;
    let mut done = BTreeSet::new();
    let mut table = Vec::new();
    for plan in plans.iter().filter(|plan| done.insert(plan.case.as_str())) {
        let case = plan.case.as_str();
        let time = compared(&plans, case, |row| row.execution_us, frames.smallest_effect);
        let touched = |row: &PlanRow| Some(row.hit_blocks? + row.read_blocks?);
        let buffers = compared(&plans, case, touched, frames.smallest_effect);
        let side = |arm: usize, column: &str| {
            arms.cell(&format!("{case}_{}", ARMS[arm]), column).cloned().unwrap_or(Cell::Empty)
        };
        table.push(vec![
            Cell::from(case),
            Cell::from(plan.query.as_str()),
            Cell::from(plan.variant.as_str()),
            purposes.get(&plan.query).map_or(Cell::Empty, |purpose| Cell::from(purpose.as_str())),
            side(1, "rows"),
            side(0, "execution_us"),
            side(1, "execution_us"),
            Cell::from(time.ratio),
            Cell::from(time.interval.map(|interval| interval.low)),
            Cell::from(time.interval.map(|interval| interval.high)),
            Cell::from(time.verdict.word()),
            side(0, "touched_blocks"),
            side(1, "touched_blocks"),
            Cell::from(buffers.ratio),
            Cell::Text(secondary_indexes(&nodes, case)),
            side(0, "q_error_ratio"),
            side(1, "q_error_ratio"),
            side(0, "nodes"),
            side(1, "nodes"),
            Cell::from(time.blocks),
        ]);
    }
    let columns = [
        ("case", "the query and, unless it is the main one, the variant of its values"),
        ("query", "the query, the stem of its file in `app/queries/`"),
        ("variant", "main, popular or deep"),
        ("purpose", "what the query is for"),
        ("rows", "rows that came back"),
        ("execution_without_us", "median execution time without the secondary indexes"),
        ("execution_with_us", "median execution time with them"),
        ("time_ratio", "typical ratio with / without, block by block (Hodges-Lehmann)"),
        ("time_low_ratio", "lower end of its 95 % interval"),
        ("time_high_ratio", "upper end of its 95 % interval"),
        ("verdict", "what may be said of the time"),
        ("touched_without_blocks", "blocks touched without the secondary indexes"),
        ("touched_with_blocks", "blocks touched with them"),
        ("touched_ratio", "typical ratio of blocks, with / without (Hodges-Lehmann)"),
        ("indexes", "secondary indexes that the plan uses"),
        ("q_error_without_ratio", "the worst estimate of rows without the indexes, as a factor"),
        ("q_error_with_ratio", "the worst estimate of rows with them, as a factor"),
        ("nodes_without", "nodes of the plan without the indexes"),
        ("nodes_with", "nodes of the plan with them"),
        ("blocks", "blocks in which both arms were tried"),
    ];
    to_rows("explain", "queries", header(&columns), table)
}

/// A metric of a case in both arms, paired block by block.
fn compared(
    plans: &[PlanRow],
    case: &str,
    metric: impl Fn(&PlanRow) -> Option<u64>,
    smallest_effect: f64,
) -> Comparison {
    let arm = |name: &str| -> BTreeMap<u32, u64> {
        let rows = plans.iter().filter(|row| row.case == case && row.arm == name);
        rows.filter_map(|row| Some((row.block, metric(row)?))).collect()
    };
    compare(&paired(&arm(ARMS[1]), &arm(ARMS[0])), Direction::LowerIsBetter, smallest_effect, SEED)
}

/// The ratios of the blocks that both have.
fn paired(arm: &BTreeMap<u32, u64>, baseline: &BTreeMap<u32, u64>) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "times and counts stay far below 2^53")]
    let ratio = |(block, value): (&u32, &u64)| baseline.get(block).map(|base| *value as f64 / *base as f64);
    arm.iter().filter_map(ratio).collect()
}

fn secondary_indexes(nodes: &[NodeRow], case: &str) -> String {
    let of_case = nodes.iter().filter(|row| row.case == case && row.arm == ARMS[1]);
    let used: BTreeSet<&str> = of_case.filter_map(|row| row.index_name.as_deref()).collect();
    let named: Vec<&str> =
        SECONDARY_INDEXES.iter().map(|index| index.name).filter(|name| used.contains(name)).collect();
    if named.is_empty() { NO_INDEX.to_owned() } else { named.join(", ") }
}

/// What stood for the parameters: each value once, whichever queries asked for it.
fn parameters(frames: &Frames) -> Result<SummaryTable> {
    let mut values: Vec<(ParameterRow, Vec<String>)> = Vec::new();
    for row in frames.rows::<ParameterRow>()? {
        match values.iter_mut().find(|(known, _)| {
            (&known.parameter, &known.value, &known.reason) == (&row.parameter, &row.value, &row.reason)
        }) {
            Some((_, cases)) => cases.push(row.case),
            None => values.push((row.clone(), vec![row.case])),
        }
    }
    values.sort_by(|(left, _), (right, _)| left.parameter.cmp(&right.parameter));
    let table = (1..).zip(values).map(|(number, (row, cases))| {
        let key = Cell::Text(format!("value_{number}"));
        vec![key, Cell::Text(row.parameter), Cell::Text(row.value), Cell::Text(row.reason), Cell::from(cases.len())]
    });
    let columns = [
        ("key", "number of the value"),
        ("parameter", "what the parameter means"),
        ("value", "the value"),
        ("reason", "why this value"),
        ("cases", "cases that use it"),
    ];
    to_rows("explain", "parameters", header(&columns), table.collect())
}

/// One row for the sentences that speak of all cases.
fn overview(
    frames: &Frames,
    queries: &SummaryTable,
    shapes: &SummaryTable,
    all_posts: &SummaryTable,
) -> Result<SummaryTable> {
    let text = |key: &str, column: &str| queries.cell(key, column).and_then(Cell::text).unwrap_or_default().to_owned();
    let cases: Vec<String> = queries.keys().collect();
    let with_verdict = |word: &str| Cell::from(cases.iter().filter(|case| text(case, "verdict") == word).count());
    let unhelped = cases.iter().filter(|case| text(case, "indexes") == NO_INDEX).count();
    let extreme = |column: &str, sign: f64| {
        queries.numbers(column).into_iter().max_by(|left, right| (sign * left.1).total_cmp(&(sign * right.1)))
    };
    let (best, worst_estimate) = (extreme("touched_ratio", -1.0), extreme("q_error_with_ratio", 1.0));
    let cell = |table: &SummaryTable, column: &str| {
        table.keys().next().and_then(|key| table.cell(&key, column).cloned()).unwrap_or(Cell::Empty)
    };
    let mut repeats: BTreeMap<String, u32> = BTreeMap::new();
    for plan in frames.rows::<PlanRow>()? {
        let most = repeats.entry(plan.case).or_default();
        *most = (*most).max(plan.block + 1);
    }
    let fewest = repeats.values().min().copied().context("nothing was explained")?;
    let most = repeats.values().max().copied().unwrap_or(fewest);
    let name = |found: &Option<(String, f64)>| found.as_ref().map_or(Cell::Empty, |(key, _)| Cell::from(key.as_str()));
    let fact = |found: &Option<(String, f64)>, column: &str| {
        found.as_ref().and_then(|(key, _)| queries.cell(key, column).cloned()).unwrap_or(Cell::Empty)
    };
    let row = vec![
        Cell::from("all"),
        Cell::from(frames.rows::<QueryRow>()?.len()),
        Cell::from(cases.len()),
        Cell::from(u64::from(fewest)),
        Cell::from(u64::from(most)),
        with_verdict("better"),
        with_verdict("worse"),
        with_verdict("equivalent"),
        with_verdict("inconclusive"),
        Cell::from(unhelped),
        name(&best),
        fact(&best, "touched_without_blocks"),
        fact(&best, "touched_with_blocks"),
        fact(&best, "touched_ratio"),
        fact(&best, "time_ratio"),
        name(&worst_estimate),
        fact(&worst_estimate, "q_error_with_ratio"),
        cell(shapes, "posts"),
        cell(all_posts, "posts"),
        cell(all_posts, "comments"),
    ];
    let columns = [
        ("key", "all cases"),
        ("queries", "queries of the app"),
        ("cases", "cases that were explained"),
        ("repeats", "blocks of a case, at least"),
        ("most_repeats", "blocks of a case, at most"),
        ("better", "cases that the secondary indexes make faster"),
        ("worse", "cases that they make slower"),
        ("equivalent", "cases in which they make no difference that matters"),
        ("inconclusive", "cases of which nothing may be said"),
        ("unhelped", "cases whose plan uses no secondary index"),
        ("best_case", "the case that the indexes save the largest share of blocks"),
        ("best_without_blocks", "blocks that it touches without the indexes"),
        ("best_with_blocks", "blocks that it touches with them"),
        ("best_touched_ratio", "their ratio"),
        ("best_time_ratio", "the ratio of its execution times"),
        ("misjudged_case", "the case with the worst estimate of rows, with the indexes"),
        ("misjudged_q_error_ratio", "that estimate, as a factor"),
        ("page_posts", "posts of the page on which the shapes are compared"),
        ("posts", "posts of the blog"),
        ("comments", "comments of the blog that were fetched with them"),
    ];
    to_rows("explain", "overview", header(&columns), vec![row])
}

fn header(columns: &[(&str, &str)]) -> Vec<SummaryColumn> {
    columns.iter().map(|(name, meaning)| column(name, meaning)).collect()
}
