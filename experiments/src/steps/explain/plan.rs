//! A plan as PostgreSQL tells it in JSON, and what can be read off it. Pure: it knows neither the database nor the query.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::results::hash_bytes;

/// One explained execution.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Plan {
    /// The top of the tree.
    #[serde(rename = "Plan")]
    pub(super) root: Node,
    #[serde(rename = "Planning", default)]
    planning: Buffers,
    #[serde(rename = "Planning Time", default)]
    planning_ms: f64,
    #[serde(rename = "Execution Time", default)]
    execution_ms: f64,
    /// Settings of the planner that are not the default.
    #[serde(rename = "Settings", default)]
    pub(super) settings: BTreeMap<String, String>,
    /// Triggers that ran, such as the checks of foreign keys.
    #[serde(rename = "Triggers", default)]
    pub(super) triggers: Vec<Trigger>,
}

/// A trigger that ran at the end of a statement.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Trigger {
    #[serde(rename = "Trigger Name")]
    pub(super) name: String,
    /// The constraint that the trigger belongs to, which says more than its own name.
    #[serde(rename = "Constraint Name")]
    pub(super) constraint: Option<String>,
    #[serde(rename = "Time", default)]
    time_ms: f64,
    #[serde(rename = "Calls", default)]
    pub(super) calls: f64,
}

/// Blocks that were touched.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Buffers {
    #[serde(rename = "Shared Hit Blocks", default)]
    pub(super) hit: u64,
    #[serde(rename = "Shared Read Blocks", default)]
    pub(super) read: u64,
    #[serde(rename = "Temp Read Blocks", default)]
    temp_read: u64,
    #[serde(rename = "Temp Written Blocks", default)]
    temp_written: u64,
}

impl Buffers {
    /// Blocks found in the shared buffers or asked of the operating system.
    pub(super) fn touched(&self) -> u64 {
        self.hit + self.read
    }

    /// Blocks of temporary files.
    pub(super) fn temp(&self) -> u64 {
        self.temp_read + self.temp_written
    }
}

/// A node of the tree.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Node {
    /// Its type, in PostgreSQL's words.
    #[serde(rename = "Node Type")]
    pub(super) node_type: String,
    #[serde(rename = "Join Type")]
    pub(super) join_type: Option<String>,
    #[serde(rename = "Strategy")]
    pub(super) strategy: Option<String>,
    #[serde(rename = "Operation")]
    pub(super) operation: Option<String>,
    #[serde(rename = "Scan Direction")]
    pub(super) direction: Option<String>,
    #[serde(rename = "Parent Relationship")]
    relationship: Option<String>,
    #[serde(rename = "Subplan Name")]
    pub(super) subplan: Option<String>,
    /// The table that it reads.
    #[serde(rename = "Relation Name")]
    pub(super) relation: Option<String>,
    /// The index that it uses.
    #[serde(rename = "Index Name")]
    pub(super) index: Option<String>,
    /// Rows per loop that the planner expected.
    #[serde(rename = "Plan Rows")]
    pub(super) estimated_rows: f64,
    #[serde(rename = "Actual Rows", default)]
    actual_rows: f64,
    /// How often it ran.
    #[serde(rename = "Actual Loops", default)]
    pub(super) loops: f64,
    #[serde(rename = "Actual Total Time", default)]
    loop_ms: f64,
    #[serde(rename = "Rows Removed by Filter")]
    removed_by_filter: Option<f64>,
    #[serde(rename = "Rows Removed by Index Recheck")]
    removed_by_recheck: Option<f64>,
    #[serde(rename = "Sort Method")]
    pub(super) sort_method: Option<String>,
    #[serde(rename = "Sort Space Used")]
    pub(super) sort_kilobytes: Option<u64>,
    #[serde(rename = "Sort Space Type")]
    pub(super) sort_place: Option<String>,
    #[serde(rename = "Heap Fetches")]
    pub(super) heap_fetches: Option<u64>,
    /// Blocks of all loops, nodes below included.
    #[serde(flatten)]
    pub(super) buffers: Buffers,
    /// The nodes below.
    #[serde(rename = "Plans", default)]
    pub(super) children: Vec<Node>,
}

/// A node with its place in the tree, in reading order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'plan> {
    /// The node.
    pub(super) node: &'plan Node,
    /// Index of the node above, in the same order.
    pub(super) parent: Option<usize>,
    /// Distance from the root.
    pub(super) depth: u32,
    /// Whether a LIMIT above may have stopped it before its last row, which makes its estimate no prediction of what was seen.
    pub(super) cut: bool,
}

impl Plan {
    /// Parses what `EXPLAIN (…, FORMAT JSON)` answers: a list of one plan.
    pub(super) fn parse(answer: serde_json::Value) -> Result<Self> {
        let plans: Vec<Self> =
            serde_json::from_value(answer).context("cannot understand the plan; use PostgreSQL 15 or newer")?;
        plans.into_iter().next().context("PostgreSQL explained no statement")
    }

    /// Time that the planner took.
    pub(super) fn planning_us(&self) -> u64 {
        microseconds(self.planning_ms)
    }

    /// Blocks that the planner touched.
    pub(super) fn planning_blocks(&self) -> u64 {
        self.planning.touched()
    }

    /// Time that the executor took, triggers included.
    pub(super) fn execution_us(&self) -> u64 {
        microseconds(self.execution_ms)
    }

    /// Rows that the statement gave.
    pub(super) fn rows(&self) -> u64 {
        whole(self.root.actual_rows * self.root.loops)
    }

    /// Every node in reading order.
    pub(super) fn nodes(&self) -> Vec<Placed<'_>> {
        let mut nodes = Vec::new();
        place(&self.root, None, 0, false, &mut nodes);
        nodes
    }

    /// Hash of the plan's shape, so that a plan that flips between executions is seen.
    pub(super) fn hash(&self) -> String {
        let shape: Vec<String> = (self.nodes().iter())
            .map(|placed| {
                format!("{} {} {:?} {:?}", placed.depth, placed.node.kind(), placed.node.relation, placed.node.index)
            })
            .collect();
        hash_bytes(shape.join("\n").as_bytes()).chars().take(12).collect()
    }
}

fn place<'plan>(node: &'plan Node, parent: Option<usize>, depth: u32, cut: bool, nodes: &mut Vec<Placed<'plan>>) {
    let own = nodes.len();
    nodes.push(Placed { node, parent, depth, cut });
    for child in &node.children {
        place(child, Some(own), depth + 1, node.cuts(child, cut), nodes);
    }
}

impl Node {
    /// Rows per loop that were seen; `None` if the node never ran.
    pub(super) fn seen_rows(&self) -> Option<f64> {
        (self.loops > 0.0).then_some(self.actual_rows)
    }

    /// Time of all loops, nodes below included.
    pub(super) fn total_us(&self) -> u64 {
        microseconds(self.loop_ms * self.loops)
    }

    /// Rows per loop that a filter, or the second look after a lossy bitmap, threw away.
    pub(super) fn removed_rows(&self) -> Option<f64> {
        match (self.removed_by_filter, self.removed_by_recheck) {
            (None, None) => None,
            (filter, recheck) => Some(filter.unwrap_or(0.0) + recheck.unwrap_or(0.0)),
        }
    }

    /// The type with its strategy, such as `Left Nested Loop` or `Hashed Aggregate`.
    pub(super) fn kind(&self) -> String {
        let before = match (self.join_type.as_deref(), self.strategy.as_deref(), self.operation.as_deref()) {
            (Some(join), _, _) if join != "Inner" => Some(join),
            (_, Some(strategy), _) if !matches!(strategy, "Plain" | "Sorted") => Some(strategy),
            (_, _, Some(operation)) => return operation.to_owned(),
            _ => None,
        };
        before.map_or_else(|| self.node_type.clone(), |word| format!("{word} {}", self.node_type))
    }

    /// Whether `child` may be stopped early, given that this node may be. A node that takes all of its input before it gives its
    /// first row ends the cut; a subplan runs to its own end for every row that asks for it.
    fn cuts(&self, child: &Self, cut: bool) -> bool {
        let takes_all = matches!(self.node_type.as_str(), "Sort" | "Aggregate" | "Hash" | "ModifyTable");
        let apart = matches!(child.relationship.as_deref(), Some("SubPlan" | "InitPlan"));
        match self.node_type.as_str() {
            "Limit" => !apart,
            _ => cut && !takes_all && !apart,
        }
    }
}

impl Placed<'_> {
    /// How far off the estimate was; `None` where it cannot be judged.
    pub(super) fn q_error(&self) -> Option<f64> {
        let seen = self.node.seen_rows()?;
        (!self.cut).then(|| q_error(self.node.estimated_rows, seen))
    }
}

impl Trigger {
    /// Time of all its calls.
    pub(super) fn time_us(&self) -> u64 {
        microseconds(self.time_ms)
    }
}

/// The factor between what was expected and what was seen, whichever is larger. Fewer than one row counts as one: the planner
/// never expects none.
pub(super) fn q_error(estimated: f64, seen: f64) -> f64 {
    let (estimated, seen) = (estimated.max(1.0), seen.max(1.0));
    (estimated / seen).max(seen / estimated)
}

/// PostgreSQL gives milliseconds with three decimals, which are whole microseconds.
fn microseconds(milliseconds: f64) -> u64 {
    whole(milliseconds * 1000.0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and times are not negative and far below 2^53"
)]
pub(super) fn whole(number: f64) -> u64 {
    number.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(text: &str) -> Plan {
        Plan::parse(serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn a_real_plan_is_understood() {
        let plan = plan(include_str!("fixtures/list_posts_with.json"));
        assert_eq!(plan.rows(), 21);
        assert!(plan.execution_us() > 0 && plan.root.buffers.touched() > 0);
        let nodes = plan.nodes();
        assert!(nodes.iter().any(|placed| placed.node.index.as_deref() == Some("posts_newest")));
        assert!(
            nodes
                .iter()
                .skip(1)
                .all(|placed| placed.parent.is_some_and(|parent| nodes[parent].depth + 1 == placed.depth))
        );
    }

    #[test]
    fn the_hash_is_of_the_shape_and_not_of_the_numbers() {
        let with = include_str!("fixtures/list_posts_with.json");
        let without = include_str!("fixtures/list_posts_without.json");
        assert_ne!(plan(with).hash(), plan(without).hash());
        assert_eq!(plan(with).hash(), plan(&with.replace("\"Actual Rows\": 21", "\"Actual Rows\": 20")).hash());
    }

    #[test]
    fn a_limit_cuts_what_streams_through_it_and_not_what_is_sorted_first() {
        let node = |kind: &str, below: &str| {
            format!(
                r#"{{"Node Type": "{kind}", "Plan Rows": 1000, "Actual Rows": 10, "Actual Loops": 1, "Plans": [{below}]}}"#
            )
        };
        let scan = node("Seq Scan", "");
        let cut = |below: &str| {
            let plan = plan(&format!(r#"[{{"Plan": {}}}]"#, node("Limit", below)));
            plan.nodes().last().unwrap().q_error()
        };
        assert_eq!(cut(&scan), None);
        assert_eq!(cut(&node("Sort", &scan)), Some(100.0));
    }

    #[test]
    fn what_never_ran_has_no_q_error() {
        let plan =
            plan(r#"[{"Plan": {"Node Type": "Seq Scan", "Plan Rows": 5, "Actual Rows": 0, "Actual Loops": 0}}]"#);
        assert_eq!((plan.nodes()[0].q_error(), plan.root.seen_rows()), (None, None));
    }

    proptest! {
        #[test]
        fn the_q_error_is_at_least_one_and_has_no_direction(estimated in 0.0..1e9_f64, seen in 0.0..1e9_f64) {
            let error = q_error(estimated, seen);
            prop_assert!(error >= 1.0 && error.is_finite());
            prop_assert_eq!(error, q_error(seen, estimated));
        }
    }
}
