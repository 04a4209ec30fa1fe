//! Explains every case in both arms and writes the rows and the trees. The only files of the step that touch the world are this
//! one, `shapes.rs`, and the reading of the facts in `cases.rs`.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use app::db::{Indexes, QUERIES, Query, Role};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, postgres::PgPoolOptions, query::QueryScalar};

use super::{
    cases::{self, Case, Facts, Value},
    plan::{Plan, whole},
    rows::{NodeRow, PlanRow, QueryRow},
    shapes, tree,
};
use crate::steps::{Bench, bench::blocks, profile::ExplainParameters};

/// How a query is explained. `SETTINGS` shows what was changed for the planner; `JSON` is the format that does not change its words
/// between versions.
pub(super) const EXPLAIN: &str = "EXPLAIN (ANALYZE, BUFFERS, SETTINGS, FORMAT JSON)";

/// What each session is told. A custom plan knows the values, as on the first executions of a prepared statement; without it
/// PostgreSQL could change to a generic plan between two repeats.
const SESSION: [(&str, &str); 2] = [("statement_timeout", "60s"), ("plan_cache_mode", "force_custom_plan")];

/// PostgreSQL's code for a statement that ran into its time limit.
const CANCELED: &str = "57014";

/// The arms, in the order of `Indexes`.
pub(super) const ARMS: [&str; 2] = ["without", "with"];

/// What was seen of one case; kept in the journal, so that an interrupted run does not ask again.
#[derive(Serialize, Deserialize)]
struct Explained {
    plans: Vec<PlanRow>,
    nodes: Vec<NodeRow>,
    /// The tree per arm; missing where there was no plan.
    trees: BTreeMap<String, String>,
    settings: BTreeMap<String, String>,
}

/// Measures the step.
pub(super) async fn measure(bench: &mut Bench<'_>) -> Result<()> {
    bench.progress.say(0.02, "seeding the blog without and with its indexes");
    // Both before anybody connects: one is a copy of the other, and a copy disconnects whoever is there.
    let databases = [bench.blog.seeded(Indexes::Without).await?, bench.blog.seeded(Indexes::With).await?];
    let pools = [pool(bench, &databases[0]).await?, pool(bench, &databases[1]).await?];
    let facts = Facts::read(&pools[1]).await?;
    let cases = cases::cases(&facts);
    bench.out.rows(&QUERIES.iter().map(query_row).collect::<Vec<_>>())?;
    bench.out.rows(&cases.iter().flat_map(Case::rows).collect::<Vec<_>>())?;
    for query in QUERIES {
        bench.out.text(&format!("{}.sql", query.name), query.sql)?;
    }
    bench.out.text("explain.sql", &session_text())?;
    let (mut plans, mut nodes) = (Vec::new(), Vec::new());
    for (index, case) in cases.iter().enumerate() {
        let key = case.key();
        #[expect(clippy::cast_precision_loss, reason = "a few dozen cases")]
        bench.progress.say(0.1 + 0.5 * index as f64 / cases.len() as f64, &format!("explaining `{key}`"));
        let parameters = bench.profile.explain;
        let order = blocks(bench.profile.seed, &format!("explain.{key}"), ARMS.len(), parameters.most_repeats);
        let explained = bench.once(&key, explain_case(&pools, case, &order, &parameters)).await?;
        if let Some(warning) = disagreement(&key, &explained.plans) {
            bench.warn(warning);
        }
        for (arm, text) in &explained.trees {
            bench.out.text(&format!("{key}_{arm}.txt"), text)?;
        }
        bench.settings.extend(explained.settings.into_iter().map(|(name, value)| (format!("planner.{name}"), value)));
        plans.extend(explained.plans);
        nodes.extend(explained.nodes);
    }
    bench.out.rows(&plans)?;
    bench.out.rows(&nodes)?;
    let fetches = shapes::measure(bench, &pools, &facts).await?;
    bench.out.rows(&fetches)?;
    for pool in pools {
        pool.close().await;
    }
    Ok(())
}

/// One connection to a seeded database, set up as the app sets up its own: no ping before each use.
async fn pool(bench: &Bench<'_>, database: &str) -> Result<PgPool> {
    let shared = bench.blog.pool(database).await?;
    let options = (*shared.connect_options()).clone().options(SESSION);
    shared.close().await;
    let pool = PgPoolOptions::new().max_connections(1).test_before_acquire(false).connect_with(options).await;
    pool.with_context(|| format!("cannot connect to the seeded database `{database}`"))
}

/// Goes on beyond the least number of repeats while that is cheap: short executions vary most.
async fn explain_case(
    pools: &[PgPool; 2],
    case: &Case,
    order: &[Vec<usize>],
    parameters: &ExplainParameters,
) -> Result<Explained> {
    let (started, enough) = (Instant::now(), Duration::from_secs_f64(parameters.enough_s));
    let mut explained =
        Explained { plans: Vec::new(), nodes: Vec::new(), trees: BTreeMap::new(), settings: BTreeMap::new() };
    let mut last: [Option<Plan>; 2] = [None, None];
    let mut given_up = [false, false];
    for pool in pools {
        // The first execution warms the buffers and is not counted; if it runs into the limit, the counted ones will say so.
        let _ = explain_on(pool, case).await?;
    }
    for (block, arms) in (0_u32..).zip(order) {
        if block >= parameters.repeats && started.elapsed() >= enough {
            break;
        }
        for &arm in arms {
            if given_up[arm] {
                continue;
            }
            let outcome = explain_on(&pools[arm], case).await?;
            explained.plans.push(plan_row(case, ARMS[arm], block, &outcome));
            match outcome {
                Ok(plan) => last[arm] = Some(plan),
                // Waiting for the limit once is enough.
                Err(_) => given_up[arm] = true,
            }
        }
    }
    for (arm, plan) in ARMS.iter().zip(&last) {
        if let Some(plan) = plan {
            explained.nodes.extend(node_rows(&case.key(), arm, plan));
            explained.trees.insert((*arm).to_owned(), tree::render(plan));
            explained.settings.extend(plan.settings.clone());
        }
    }
    Ok(explained)
}

/// Explains a case on the pool's connection; what a write does is rolled back.
async fn explain_on(pool: &PgPool, case: &Case) -> Result<Result<Plan, String>> {
    let named = || format!("cannot explain `{}`", case.key());
    if case.writes() {
        let mut transaction = pool.begin().await.with_context(named)?;
        let outcome = explain(&mut transaction, case.query, &case.arguments()).await?;
        transaction.rollback().await.with_context(named)?;
        Ok(outcome)
    } else {
        let mut connection = pool.acquire().await.with_context(named)?;
        explain(&mut connection, case.query, &case.arguments()).await
    }
}

/// Executes a query under [`EXPLAIN`], its parameters bound as the app binds them. The inner error is a statement that ran into
/// its time limit, which is an observation; everything else ends the step.
pub(super) async fn explain(
    connection: &mut PgConnection,
    query: &Query,
    arguments: &[Value],
) -> Result<Result<Plan, String>> {
    let statement = format!("{EXPLAIN}\n{}", query.sql);
    // The text comes from the app's own list of queries.
    let mut explain: QueryScalar<'_, Postgres, serde_json::Value, _> = sqlx::query_scalar(AssertSqlSafe(statement));
    for argument in arguments {
        explain = match argument.clone() {
            Value::Integer(value) => explain.bind(value),
            Value::Integers(values) => explain.bind(values),
            Value::Text(text) => explain.bind(text),
            Value::Texts(texts) => explain.bind(texts),
            Value::Uuid(uuid) => explain.bind(uuid),
            Value::Time(time) => explain.bind(time),
        };
    }
    match explain.fetch_one(connection).await {
        Ok(answer) => Plan::parse(answer).map(Ok),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(CANCELED) => Ok(Err(error.to_string())),
        Err(error) => Err(error).with_context(|| format!("cannot explain `{}`", query.name)),
    }
}

/// The text that the report prints: the session, then the prefix of every query.
fn session_text() -> String {
    let settings = SESSION.map(|(name, value)| format!("SET {name} = '{value}';\n")).concat();
    format!("{settings}\n-- in front of each query, its parameters bound as the app binds them\n{EXPLAIN}\n")
}

/// Both arms must give the same number of rows, or they did not do the same work.
fn disagreement(key: &str, plans: &[PlanRow]) -> Option<String> {
    let mut rows: Vec<u64> = plans.iter().filter_map(|plan| plan.rows).collect();
    rows.sort_unstable();
    rows.dedup();
    (rows.len() > 1).then(|| format!("`{key}` gave different numbers of rows: {rows:?}; its arms cannot be compared"))
}

fn query_row(query: &Query) -> QueryRow {
    let (role, place) = match query.role {
        Role::Read(route) => ("read", route),
        Role::Write(route) => ("write", route),
        Role::Shape(shape) => ("shape", shape.group),
    };
    QueryRow {
        query: query.name.to_owned(),
        role: role.to_owned(),
        place: place.to_owned(),
        purpose: query.purpose.to_owned(),
        parameters: query.parameters.iter().map(|parameter| format!("{parameter:?}")).collect::<Vec<_>>().join(", "),
    }
}

fn plan_row(case: &Case, arm: &str, block: u32, outcome: &Result<Plan, String>) -> PlanRow {
    let plan = outcome.as_ref().ok();
    let buffers = plan.map(|plan| plan.root.buffers);
    PlanRow {
        case: case.key(),
        query: case.query.name.to_owned(),
        variant: case.variant.word().to_owned(),
        arm: arm.to_owned(),
        block,
        planning_us: plan.map(Plan::planning_us),
        execution_us: plan.map(Plan::execution_us),
        rows: plan.map(Plan::rows),
        hit_blocks: buffers.map(|buffers| buffers.hit),
        read_blocks: buffers.map(|buffers| buffers.read),
        temp_blocks: buffers.map(|buffers| buffers.temp()),
        planning_blocks: plan.map(Plan::planning_blocks),
        root_node: plan.map(|plan| plan.root.node_type.clone()),
        plan_hash: plan.map(Plan::hash),
        error: outcome.as_ref().err().cloned(),
    }
}

fn node_rows(case: &str, arm: &str, plan: &Plan) -> Vec<NodeRow> {
    let index = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
    (plan.nodes().iter().enumerate())
        .map(|(number, placed)| NodeRow {
            case: case.to_owned(),
            arm: arm.to_owned(),
            node: index(number),
            parent: placed.parent.map(index),
            depth: placed.depth,
            node_type: placed.node.node_type.clone(),
            relation: placed.node.relation.clone(),
            index_name: placed.node.index.clone(),
            estimated_rows: placed.node.estimated_rows,
            seen_rows: placed.node.seen_rows(),
            loops: whole(placed.node.loops),
            q_error_ratio: placed.q_error(),
            removed_rows: placed.node.removed_rows(),
            hit_blocks: placed.node.buffers.hit,
            read_blocks: placed.node.buffers.read,
            total_us: placed.node.total_us(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_become_rows_with_their_parents() {
        let text = include_str!("fixtures/list_posts_without.json");
        let plan = Plan::parse(serde_json::from_str(text).unwrap()).unwrap();
        let rows = node_rows("list_posts", "without", &plan);
        assert_eq!((rows[0].parent, rows[0].depth), (None, 0));
        let counted = rows.iter().find(|row| row.relation.as_deref() == Some("comments")).unwrap();
        assert_eq!((counted.node_type.as_str(), counted.loops), ("Seq Scan", 21));
        assert!(counted.removed_rows.unwrap() > 40_000.0 && counted.q_error_ratio.is_some());
    }

    #[test]
    fn the_text_for_the_report_is_what_is_sent() {
        insta::assert_snapshot!(session_text());
    }
}
