//! What `explain` writes down, one struct per CSV. A plan that could not be had is a row with `error` filled.

use crate::results::row;

row! {
    /// A query of the app that was explained.
    pub(crate) struct QueryRow in "queries.csv" {
        /// Name of the query, the stem of its file in `app/queries/`.
        query: String,
        /// `read`, `write` or `shape`.
        role: String,
        /// The route that sends it, or the group of shapes to which it belongs.
        place: String,
        /// What it is for.
        purpose: String,
        /// What `$1`, `$2`, … stand for.
        parameters: String,
    }
}

row! {
    /// A value that stood for a parameter of a query.
    pub(crate) struct ParameterRow in "parameters.csv" {
        /// The query and, unless it is the main one, the variant of its values.
        case: String,
        /// Name of the query.
        query: String,
        /// `main`, `popular` or `deep`.
        variant: String,
        /// The number after the `$`.
        position: u32,
        /// What the parameter means.
        parameter: String,
        /// The value as text; a list is cut after its first members.
        value: String,
        /// Why this value.
        reason: String,
    }
}

row! {
    /// One execution of a query under `EXPLAIN (ANALYZE, BUFFERS, SETTINGS, FORMAT JSON)`.
    pub(crate) struct PlanRow in "plans.csv" {
        /// The query and, unless it is the main one, the variant of its values.
        case: String,
        /// Name of the query.
        query: String,
        /// `main`, `popular` or `deep`.
        variant: String,
        /// `without` or `with` the secondary indexes.
        arm: String,
        /// The block, from 0; in each, both arms are tried once in random order.
        block: u32,
        /// Time that the planner took.
        planning_us: Option<u64>,
        /// Time that the executor took, triggers included.
        execution_us: Option<u64>,
        /// Rows that the root of the plan gave.
        rows: Option<u64>,
        /// Blocks that the executor found in PostgreSQL's shared buffers.
        hit_blocks: Option<u64>,
        /// Blocks that it had to ask the operating system for.
        read_blocks: Option<u64>,
        /// Blocks of temporary files that it read or wrote.
        temp_blocks: Option<u64>,
        /// Blocks that the planner touched.
        planning_blocks: Option<u64>,
        /// Type of the plan's root.
        root_node: Option<String>,
        /// Hash of the plan's shape: node types, relations and indexes, without any number.
        plan_hash: Option<String>,
        /// Why there is no plan.
        error: Option<String>,
    }
}

row! {
    /// A node of the last plan of a query in an arm.
    pub(crate) struct NodeRow in "nodes.csv" {
        /// The query and, unless it is the main one, the variant of its values.
        case: String,
        /// `without` or `with` the secondary indexes.
        arm: String,
        /// Number of the node in reading order, from 0.
        node: u32,
        /// Number of the node above; empty for the root.
        parent: Option<u32>,
        /// Distance from the root.
        depth: u32,
        /// Type of the node, in PostgreSQL's words.
        node_type: String,
        /// The table that it reads.
        relation: Option<String>,
        /// The index that it uses.
        index_name: Option<String>,
        /// Rows per loop that the planner expected.
        estimated_rows: f64,
        /// Rows per loop that it gave; empty if it never ran.
        seen_rows: Option<f64>,
        /// How often it ran.
        loops: u64,
        /// How far off the estimate was, as a factor of at least 1; empty if the node never ran or a LIMIT above cut it short.
        q_error_ratio: Option<f64>,
        /// Rows per loop that a filter threw away.
        removed_rows: Option<f64>,
        /// Blocks found in the shared buffers, all loops, nodes below included.
        hit_blocks: u64,
        /// Blocks asked of the operating system, all loops, nodes below included.
        read_blocks: u64,
        /// Time of all loops, nodes below included; loops of parallel workers overlap.
        total_us: u64,
    }
}

row! {
    /// One fetch of posts with their comments by one of the shapes.
    pub(crate) struct ShapeRow in "shapes.csv" {
        /// Name of the shape, also the function in `app::db::shapes`.
        shape: String,
        /// `page`, or `all` for every post of the blog at once.
        scale: String,
        /// `without` or `with` the secondary indexes.
        arm: String,
        /// The block, from 0; in each, every shape is tried once in both arms, in random order.
        block: u32,
        /// Statements that were sent, one round trip each.
        statements: u64,
        /// Posts that were fetched.
        posts: u64,
        /// Comments that were fetched.
        comments: u64,
        /// Rows that came over the connection.
        rows: u64,
        /// Length of those rows as PostgreSQL writes them as text.
        row_bytes: u64,
        /// Wall time of the fetch in the app's own function: round trips, decoding and grouping included.
        fetch_us: u64,
        /// Execution time of its statements under `EXPLAIN`, added up.
        execution_us: u64,
        /// Planning time of its statements under `EXPLAIN`, added up.
        planning_us: u64,
        /// Blocks that its statements touched in the shared buffers or asked of the operating system.
        touched_blocks: u64,
        /// Blocks of temporary files that its statements read or wrote.
        temp_blocks: u64,
    }
}
