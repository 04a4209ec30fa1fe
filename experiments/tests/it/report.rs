//! The report: a whole document to a PDF with the real Typst, and what each mistake says.

use std::path::PathBuf;

use experiments::report::{Templates, build, check_templates, compact, escape};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::document::{document, options, templates};
use crate::pdf;

/// Words that are spelled with digits and are no results.
pub(crate) const ALLOWED: &[&str] = &[
    "99th percentile",
    "p50",
    "p90",
    "p99",
    // The method's own constants, formulas and sources.
    "95 % confidence",
    "95 % interval",
    "90 % interval",
    "(1 − ",
    "percentiles from 90 to 99.9",
    "MSER-5",
    "Hesterberg 2015",
    "Bulej et al. 2020",
    "Tene 2012",
    "(1 + _α_ (_N_ − 1) + _β N_ (_N_ − 1))",
    "Gunther 2007",
];

fn error(templates: &Templates) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    format!("{:#}", build(&document(), templates, &options(folder.path())).expect_err("the template is wrong"))
}

fn with_section(text: &str) -> Templates {
    let mut templates = templates();
    templates.sections.insert("cache".to_owned(), text.to_owned());
    templates
}

fn with_claims(edit: impl Fn(&str) -> String) -> Templates {
    let mut templates = templates();
    templates.claims = edit(&templates.claims);
    templates
}

#[test]
fn a_document_becomes_a_pdf_with_everything_in_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = build(&document(), &templates(), &options(folder.path())).unwrap_or_else(|error| panic!("{error:#}"));
    let pdf = pdf::read(&output);
    if let Ok(kept) = std::env::var("KEEP_REPORT") {
        std::fs::copy(&output, PathBuf::from(kept)).expect("a copy");
    }
    assert_eq!(pdf.pages.len(), 10, "pages");
    for expected in [
        "Loadbook: a test of the report",
        "quick profile: not for conclusions",
        "Findings",
        "held",
        // The results of `cache` are stale, which is marked in a sentence of a claim as anywhere.
        "With all three levels a request costs 169 µs† instead of 843 µs†.",
        "overturned",
        "Comments take 156 MB: #panic() [and] *more*. Was believed: Comments take no more than a #megabyte, *whatever* happens.",
        "undecided",
        "Hits without caches (–†) were not counted.",
        "How evenly requests are shared was not measured.",
        "Environment",
        "Contents",
        "What do the caches save?",
        "it is cheaper",
        "843 µs",
        "Table 1.",
        "Table 2.",
        "Table 3.",
        "Figure 1.",
        "Figure 2.",
        "Each of the five arms",
        "app/queries/list_posts.sql",
        "order by created_at desc, id desc",
        "app/queries/list_posts.sql changed",
        "relation row 59",
        "no such database `loadbook`; #import \"x\"",
        "has not been measured yet",
        "Where the numbers come from",
        "Intel Xeon",
        "Environment and provenance",
        "not known: it is hidden",
        "-fstack-protector-strong",
        "postgresql.shared_buffers",
        "6.1.0-oldstable",
        "6.2.0-stable",
        "cache_arms.csv",
        // Texts inside of the charts.
        "CPU time per request (µs)",
        "PostgreSQL",
        "surge",
    ] {
        assert!(pdf.contains(expected), "`{expected}` is missing in:\n{}", pdf.pages.concat());
    }
    for nasty in [
        "$ 5 $ #import \"x\" *not bold* _not slanted_ @nobody <label> `tick` \\ // [x] ~ -- ... = 1.",
        "Łódź → naïve ✓",
    ] {
        assert!(pdf.contains(nasty), "`{nasty}` is missing in:\n{}", pdf.pages.concat());
    }
    assert!(pdf.contains("U+6F22"), "a character without a glyph is written as its number");
    assert_eq!(pdf.attachments, ["cache_arms.csv", "schema_relations.csv", "pages.json"]);
}

#[test]
fn the_same_document_gives_the_same_bytes() {
    let folders = [tempfile::tempdir().expect("a temporary folder"), tempfile::tempdir().expect("a temporary folder")];
    let [one, other] = folders.map(|folder| {
        let output =
            build(&document(), &templates(), &options(folder.path())).unwrap_or_else(|error| panic!("{error:#}"));
        std::fs::read(output).expect("the PDF")
    });
    assert!(one == other, "{} and {} bytes differ", one.len(), other.len());
}

/// Nothing is lost or changed when the objects are packed, and packing twice is not possible by mistake.
#[test]
fn a_compact_pdf_has_the_same_objects() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = options(folder.path());
    let output = build(&document(), &templates(), &options).unwrap_or_else(|error| panic!("{error:#}"));
    let packed = std::fs::read(&output).expect("the PDF");
    let finished = std::process::Command::new(&options.typst.program)
        .args(["compile", "--root", ".", "--ignore-system-fonts", "--creation-timestamp", "1795358400"])
        .args(["--pdf-standard", "a-3a,ua-1", "main.typ", "plain.pdf"])
        .current_dir(&options.folder)
        .output()
        .expect("Typst runs");
    assert!(finished.status.success(), "{}", String::from_utf8_lossy(&finished.stderr));
    let plain = std::fs::read(options.folder.join("plain.pdf")).expect("the PDF of Typst");
    assert!(compact(&plain).expect("a PDF of Typst") == packed);
    assert!(packed.len() * 3 < plain.len() * 2, "{} bytes became {}", plain.len(), packed.len());
    let [before, after] = [&plain, &packed].map(|bytes| lopdf::Document::load_mem(bytes).expect("a PDF"));
    for (id, object) in &before.objects {
        assert_eq!(after.get_object(*id).expect("the object"), object, "{id:?}");
    }
    for entry in [b"Root".as_slice(), b"Info", b"ID"] {
        assert_eq!(after.trailer.get(entry).expect("an entry"), before.trailer.get(entry).expect("an entry"));
    }
    assert!(compact(&packed).is_err(), "this is not what Typst writes");
}

#[test]
fn the_first_page_gets_each_claim_with_its_verdict() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = options(folder.path());
    build(&document(), &templates(), &options).unwrap_or_else(|error| panic!("{error:#}"));
    let main = std::fs::read_to_string(options.folder.join("main.typ")).expect("what was generated");
    let (front, _) = main.split_once("#contents()").expect("the contents follow the front page");
    let (_, front) = front.split_once("#front-page").expect("a front page");
    insta::assert_snapshot!(front.trim());
}

#[test]
fn a_claim_over_an_unknown_key_is_an_error_that_names_both() {
    let unknown = with_claims(|claims| claims.replace("all three levels.low_ratio", "all three levels.lowest_ratio"));
    insta::assert_snapshot!(error(&unknown), @"`report-src/claims.toml:12`: the claim `cheaper`: unknown value `cache.verdicts.all three levels.lowest_ratio`; the nearest is `cache.verdicts.all three levels.low_ratio`");
    insta::assert_snapshot!(error(&with_claims(|claims| claims.replace("unknown = \"Whether", "unkown = \"Whether"))), @"`report-src/claims.toml:12`: the claim `cheaper`: unknown field `unkown`, expected one of `name`, `step`, `hypothesis`, `all`, `held`, `overturned`, `unknown`");
}

#[test]
fn an_unknown_name_is_an_error_with_its_line_and_the_nearest_name() {
    insta::assert_snapshot!(error(&with_section("== A\n\nIt is {{ value(\"cache.arms.of.p50_us\") }}.\n")), @"`report-src/sections/cache.typ.j2:3`: unknown value `cache.arms.of.p50_us`; the nearest is `cache.arms.off.p50_us`");
    insta::assert_snapshot!(error(&with_section("{{ table(\"cache.arm\", caption=\"x\") }}")), @"`report-src/sections/cache.typ.j2:1`: unknown table `cache.arm`; the nearest is `cache.arms`");
    insta::assert_snapshot!(error(&with_section("{{ table(\"cache.arms\", columns=[\"p50\"], caption=\"x\") }}")), @"`report-src/sections/cache.typ.j2:1`: unknown column of the table `cache.arms`: `p50`; the nearest is `arm`");
    insta::assert_snapshot!(error(&with_section("\n{{ figure(\"cache_cpus\", caption=\"x\", alt=\"y\") }}")), @"`report-src/sections/cache.typ.j2:2`: unknown figure `cache_cpus`; the nearest is `cache_cpu`");
    insta::assert_snapshot!(error(&with_section("{{ source(\"list\") }}")), @"`report-src/sections/cache.typ.j2:1`: unknown source `list`; the nearest is `list_posts`");
    insta::assert_snapshot!(error(&with_section("\n\n{{ sectoin.title }}")), @"`report-src/sections/cache.typ.j2:3`: nothing is called `sectoin.title`");
    insta::assert_snapshot!(error(&with_section("\n\n{{ section.titel }}")), @"`report-src/sections/cache.typ.j2:3`: nothing is called `section.titel`");
    insta::assert_snapshot!(error(&with_section("\n\n{% if %}")), @"`report-src/sections/cache.typ.j2:3`: syntax error: unexpected end of block");
}

#[test]
fn a_sentence_or_a_number_without_its_data_is_an_error() {
    insta::assert_snapshot!(error(&with_section("{{ raw(\"cache.arms.off.p50_us\") }}")), @r#"
`report-src/sections/cache.typ.j2:1`: the number 1770.7200000000003 has no address; print a cell with `value("step.table.row.column")`, and a count of things with `|spelled`
"#);
    insta::assert_snapshot!(error(&with_section("{{ figure(\"cache_cpu\", caption=\"x\") }}")), @r#"
`report-src/sections/cache.typ.j2:1`: `figure(…)` needs `alt="…"`
"#);
    insta::assert_snapshot!(error(&with_section("{{ words(\"cache.verdicts.view.verdict\", better=\"x\") }}")), @r#"
`report-src/sections/cache.typ.j2:1`: `words(…)` needs words for each verdict; `worse="…"` is missing
"#);
    insta::assert_snapshot!(error(&with_section("{{ words(\"cache.arms.off.note\", better=\"a\", worse=\"b\", equivalent=\"c\", inconclusive=\"d\") }}")), @"`report-src/sections/cache.typ.j2:1`: `cache.arms.off.note` holds `–`, which is no verdict; one of better, worse, equivalent, inconclusive is needed");
}

#[test]
fn a_complaint_of_typst_names_the_line_that_the_user_edits() {
    insta::assert_snapshot!(error(&with_section("{# one\n two #}\n{% for arm in rows(\"cache.arms\") %}\n- x\n{% endfor %}\n\nAn #unknown thing.\n")), @r#"
`report-src/sections/cache.typ.j2:7`: unknown variable: unknown
    error: unknown variable: unknown
      ┌─ sections/cache.typ:9:4
      │
    9 │ An #unknown thing.
      │     ^^^^^^^
    
    help: while including `/sections/cache.typ`
       ┌─ main.typ:15:18
       │
    15 │ #section("cache", include "/sections/cache.typ")
       │                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"#);
    insta::assert_snapshot!(error(&with_section("== A\n\nSee {{ ref(\"nowhere\") }}.\n")), @r#"
`report-src/sections/cache.typ.j2:3`: label `<nowhere>` does not exist in the document
    error: label `<nowhere>` does not exist in the document
      ┌─ sections/cache.typ:5:5
      │
    5 │ See #ref(label("nowhere"));.
      │      ^^^^^^^^^^^^^^^^^^^^^
"#);
    insta::assert_snapshot!(error(&with_section("== A\n\n#data-table(\"nothing\")\n")), @r#"
`report-src/sections/cache.typ.j2:3`: dictionary does not contain key "nothing" and no default value was specified
    error: dictionary does not contain key "nothing" and no default value was specified
        ┌─ style.typ:182:16
        │
    182 │   let summary = report.tables.at(name)
        │                 ^^^^^^^^^^^^^^^^^^^^^^
    
    help: while calling `data-table`
      ┌─ sections/cache.typ:5:1
      │
    5 │ #data-table("nothing")
      │  ^^^^^^^^^^^^^^^^^^^^^
    
    help: while including `/sections/cache.typ`
       ┌─ main.typ:15:18
       │
    15 │ #section("cache", include "/sections/cache.typ")
       │                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"#);
}

#[test]
fn a_warning_of_typst_is_an_error() {
    let mut templates = templates();
    templates.style = templates.style.replace("#let serif = \"Libertinus Serif\"", "#let serif = \"Comic Sans\"");
    let message = error(&templates);
    assert!(message.starts_with("`report-src/style.typ:"), "{message}");
    assert!(message.contains("unknown font family: comic sans"), "{message}");
}

#[test]
fn a_missing_compiler_or_template_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut lost = options(folder.path());
    lost.typst.program = PathBuf::from("/nowhere/typst");
    let message = format!("{:#}", build(&document(), &templates(), &lost).expect_err("there is no such program"));
    assert!(message.starts_with("cannot start Typst as `/nowhere/typst`; install it with `just setup`"), "{message}");
    let mut templates = templates();
    templates.sections.remove("cache");
    insta::assert_snapshot!(error(&templates), @"the step has no template; write `report-src/sections/cache.typ.j2` (CONTRIBUTING.md walks through one)");
}

#[test]
fn no_digit_of_a_result_is_typed_by_hand() {
    let offences = |templates: &Templates| check_templates(templates, ALLOWED).expect("the claims can be read");
    assert_eq!(offences(&templates()), []);
    let real = Templates::read(&crate::document::root().join("report-src")).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(offences(&real), []);
    let claimed = with_claims(|claims| claims.replace("The levels save nothing.", "They save 3 % of it."));
    insta::assert_snapshot!(offences(&claimed)[0], @"`claims.toml:12`: `3` is typed by hand; print it with `value(…)`, or allow the phrase by name");
    let offences = offences(&with_section("It is\n4.5 times faster."));
    insta::assert_snapshot!(offences[0], @"`sections/cache.typ.j2:2`: `4.5` is typed by hand; print it with `value(…)`, or allow the phrase by name");
}

/// Typst itself compares each escaped text with the text that was meant, in markup and in a string.
#[test]
fn any_text_appears_verbatim_and_never_runs() {
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::prop_oneof![
        proptest::prelude::any::<String>(),
        "[#$*_@<>`\\\\/\\[\\]~\\-=+.0-9a-z\"'(){}; \n\t]{0,24}",
        "(- |= |\\+ |/ |1\\. |\n\n|// |#let x|@a|<b>|\\$|---|\\.\\.\\.){1,6}",
    ];
    let mut main = String::from(
        "#let read(it) = if it.has(\"text\") { it.text } else if it.has(\"children\") { it.children.map(read).join(default: \"\") } else if it.func() == [ ].func() { \" \" } else { panic(repr(it)) }\n",
    );
    for _ in 0..400 {
        let text = strategy.new_tree(&mut runner).expect("a text").current();
        let (escaped, literal) = (escape::escape(&text), escape::literal(&text));
        main.push_str(&format!("#assert.eq(read([{escaped}]), {literal})\n#assert.eq(\"{escaped}\", {literal})\n"));
        assert!(!literal.contains('\n'), "a literal is one line");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("main.typ"), main).expect("the input");
    let program = options(folder.path()).typst.program;
    let finished = std::process::Command::new(program)
        .arg("compile")
        .arg("main.typ")
        .current_dir(folder.path())
        .output()
        .expect("Typst runs");
    assert!(finished.status.success(), "{}", String::from_utf8_lossy(&finished.stderr));
}
