//! A whole document for the tests of the report: every status, several formats, nasty texts, a table longer than a page.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use experiments::figures::{Axis, Line, LineChart, Span, StackedBars};
use experiments::report::{
    Attachment, BuildOptions, Document, EnvironmentDifference, FactGroup, Provenance, Section, Source, Status,
    Templates, Typst,
};
use experiments::results::summary::{Cell, SummaryColumn, SummaryTable};

const ARMS: [&str; 5] = ["off", "value", "fragment", "view", "all three levels"];
const NASTY: &str = "$ 5 $ #import \"x\" *not bold* _not slanted_ @nobody <label> `tick` \\ // [x] ~ -- ... = 1.";

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The real main template and style with the sections and claims of this fixture.
pub(crate) fn templates() -> Templates {
    let read =
        |path: &str| std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let section = |step: &str| (step.to_owned(), read(&format!("experiments/tests/it/report/{step}.typ.j2")));
    Templates {
        folder: "report-src".to_owned(),
        main: read("report-src/main.typ.j2"),
        style: read("report-src/style.typ"),
        claims: read("experiments/tests/it/report/claims.toml"),
        sections: ["schema", "cache"].map(section).into(),
    }
}

/// Builds below `folder` with the Typst of this machine.
pub(crate) fn options(folder: &Path) -> BuildOptions {
    let typst = setup::locate(&setup::Search::for_project(&root()), setup::Program::Typst);
    let program = typst.unwrap_or_else(|missing| panic!("{missing}")).path;
    BuildOptions { typst: Typst { program }, folder: folder.join("build"), output: folder.join("report.pdf") }
}

fn table(step: &str, name: &str, columns: &[(&str, &str)], rows: Vec<Vec<Cell>>) -> SummaryTable {
    let columns = columns
        .iter()
        .map(|(name, meaning)| SummaryColumn { name: (*name).to_owned(), meaning: (*meaning).to_owned() });
    SummaryTable { step: step.to_owned(), name: name.to_owned(), columns: columns.collect(), rows }
}

fn arms() -> SummaryTable {
    let columns = [
        ("arm", "which caches are on"),
        ("p50_us", "median latency"),
        ("p99_us", "99th percentile of the latency"),
        ("cpu_us_per_request", "CPU time of all servers per request"),
        ("hit_share", "share of requests that a cache answered"),
        ("note", "what to know"),
    ];
    let row = |(index, arm): (i32, &&str)| {
        let cost = 843.2 / f64::from(index + 1);
        vec![
            Cell::from(*arm),
            Cell::Number(cost * 2.1),
            Cell::Number(cost * 14.0),
            Cell::Number(cost),
            if index == 0 { Cell::Empty } else { Cell::Number(0.2 * f64::from(index) + 0.113) },
            Cell::from(if index == 3 {
                "the first request after each expiry runs the query, and others wait for it"
            } else {
                "–"
            }),
        ]
    };
    table("cache", "arms", &columns, (0..).zip(&ARMS).map(row).collect())
}

fn verdicts() -> SummaryTable {
    let columns = [
        ("arm", "which caches are on"),
        ("ratio", "CPU time against off"),
        ("low_ratio", "low end"),
        ("high_ratio", "high end"),
        ("verdict", "what follows"),
    ];
    let words = ["inconclusive", "equivalent", "better", "better"];
    let row = |((index, arm), verdict): ((i32, &&str), &&str)| {
        let ratio = 1.0 / f64::from(index + 2);
        vec![
            Cell::from(*arm),
            Cell::Number(ratio),
            Cell::Number(ratio * 0.93),
            Cell::Number(ratio * 1.08),
            Cell::from(*verdict),
        ]
    };
    table("cache", "verdicts", &columns, (0..).zip(&ARMS[1..]).zip(&words).map(row).collect())
}

fn relations() -> SummaryTable {
    let columns = [
        ("relation", "the name"),
        ("kind", "table or index"),
        ("size_bytes", "bytes on disk"),
        ("rows", "live rows"),
        ("purpose", "why it exists"),
    ];
    let mut rows = vec![vec![
        Cell::from("comments"),
        Cell::from("table"),
        Cell::Integer(156_237_824),
        Cell::Integer(1_000_000),
        Cell::from(NASTY),
    ]];
    rows.push(vec![
        Cell::from("comments_post_id_created_at_id_including_every_column_of_it_idx"),
        Cell::from("index"),
        Cell::Integer(41_222_144),
        Cell::Empty,
        Cell::from("Łódź → naïve ✓ 漢字 and aVeryLongWordThatHasNoPlaceToBreakWhatsoeverBecauseItIsOneIdentifierOfSeventyLetters"),
    ]);
    rows.extend((0..60).map(|index| {
        vec![
            Cell::Text(format!("relation row {index}")),
            Cell::from("table"),
            Cell::Integer(8192 << (index % 17)),
            Cell::Integer(index * 1234),
            Cell::from("fills a page"),
        ]
    }));
    table("schema", "relations", &columns, rows)
}

fn figures() -> BTreeMap<String, String> {
    let bars = StackedBars {
        bars: ARMS.map(str::to_owned).to_vec(),
        components: vec![
            ("PostgreSQL".to_owned(), vec![Some(600.0), Some(400.0), Some(300.0), Some(20.0), None]),
            ("app".to_owned(), vec![Some(300.0), Some(290.0), Some(200.0), Some(100.0), Some(80.0)]),
            ("Redis".to_owned(), vec![Some(0.0), Some(30.0), Some(40.0), Some(50.0), Some(60.0)]),
            ("NGINX".to_owned(), vec![Some(40.0); 5]),
        ],
        axis: Axis::linear("CPU time per request (µs)"),
    };
    let line = |name: &str, shift: f64| Line {
        name: name.to_owned(),
        points: (0..60_i32)
            .map(|second| {
                (
                    f64::from(second),
                    Some(
                        if (20..35).contains(&second) { 9.0 } else { 2.0 } + shift + f64::from(second * 37 % 11) / 20.0,
                    ),
                )
            })
            .collect(),
    };
    let lines = LineChart {
        lines: vec![line("app-1", 0.0), line("app-2", 0.3)],
        spans: vec![Span { from: 20.0, to: 35.0, label: "surge".to_owned() }],
        x_axis: Axis::linear("time since the start (s)"),
        y_axis: Axis::logarithmic("latency, 99th percentile (ms)"),
    };
    [("cache_cpu".to_owned(), bars.svg()), ("cache_latency".to_owned(), lines.svg())].into()
}

fn section(step: &str, title: &str, question: &str, status: Status) -> Section {
    Section {
        step: step.to_owned(),
        title: title.to_owned(),
        question: question.to_owned(),
        status,
        warnings: if step == "cache" {
            vec!["only 3 blocks were measured; a verdict needs at least 6".to_owned()]
        } else {
            Vec::new()
        },
        provenance: vec![
            ("Measured".to_owned(), "2026-11-22 14:30 UTC in 41.2 s".to_owned()),
            ("Seed".to_owned(), "20261122".to_owned()),
            ("Commit".to_owned(), "85a8817+".to_owned()),
        ],
    }
}

fn provenance() -> Provenance {
    let facts =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, fact)| ((*name).to_owned(), (*fact).to_owned())).collect();
    let group = |name: &str, pairs: &[(&str, &str)]| FactGroup { name: name.to_owned(), facts: facts(pairs) };
    Provenance {
        at_a_glance: facts(&[
            ("Processors", "2 × Intel Xeon"),
            ("Memory", "7.8 GB"),
            ("Servers", "PostgreSQL 15.14, Redis 7.0.15, NGINX 1.22.1"),
        ]),
        newest: "cache".to_owned(),
        groups: vec![
            group(
                "Machine",
                &[("processor", "Intel Xeon"), ("frequency governor", "not known: it is hidden"), ("memory", "7.8 GB")],
            ),
            group("Programs", &[("PostgreSQL", "15.14"), ("Typst", "0.15.2")]),
            group(
                "Builds",
                &[("PostgreSQL.CFLAGS", "-g -O2 -fstack-protector-strong -Wformat -Werror=format-security")],
            ),
            group("Settings", &[("postgresql.shared_buffers", "128MB"), ("postgresql.random_page_cost", "1.1")]),
        ],
        differences: vec![EnvironmentDifference {
            fact: "machine: kernel".to_owned(),
            steps: "schema".to_owned(),
            here: "6.1.0-oldstable".to_owned(),
            elsewhere: "6.2.0-stable".to_owned(),
        }],
    }
}

/// The document.
pub(crate) fn document() -> Document {
    let tables = vec![relations(), arms(), verdicts()];
    let attachment = |name: &str| Attachment {
        name: name.to_owned(),
        description: "Summary made from the rows of the step".to_owned(),
        media_type: "text/csv".to_owned(),
        bytes: b"arm,p50_us\noff,1\n".to_vec(),
    };
    Document {
        title: "Loadbook: a test of the report".to_owned(),
        subtitle: "Indexes, caches and load balancing of a blog, measured".to_owned(),
        notice: Some("quick profile: not for conclusions".to_owned()),
        provenance: provenance(),
        tables,
        figures: figures(),
        sources: [(
            "list_posts".to_owned(),
            Source {
                language: "sql".to_owned(),
                origin: "app/queries/list_posts.sql".to_owned(),
                text: "-- The newest posts, page by page.\nselect id, title, created_at\nfrom posts\nwhere (created_at, id) < ($1, $2)\norder by created_at desc, id desc\nlimit $3\n".to_owned(),
            },
        )]
        .into(),
        sections: vec![
            section("schema", "Schema", "What does the schema cost in space?", Status::Current),
            section("explain", "Query plans", "What do the indexes change?", Status::Failed("cannot connect: no such database `loadbook`; #import \"x\"\n  caused by: connection refused".to_owned())),
            section("cache", "Caches", "What do the caches save?", Status::Stale(vec!["app/queries/list_posts.sql changed".to_owned()])),
            section("surge", "Surge", "Is the load shared evenly?", Status::Missing),
        ],
        attachments: vec![attachment("cache_arms.csv"), attachment("schema_relations.csv")],
        newest_result_unix_s: 1_795_358_400,
    }
}
