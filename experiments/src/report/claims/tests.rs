//! What makes a claim hold, fall, or stay open, and what every mistake in the file says.

use super::*;
use crate::report::values::values;
use crate::results::summary::{SummaryColumn, SummaryTable};

const COLUMNS: [&str; 6] = ["arm", "ratio", "low_ratio", "high_ratio", "count", "verdict"];

/// The values of the step `cache`: a row that decided something, one that did not, and one that is empty.
fn measured() -> BTreeMap<String, Value> {
    let row =
        |arm: &str, numbers: [Cell; 4], verdict: Cell| [vec![Cell::from(arm)], numbers.into(), vec![verdict]].concat();
    let number = Cell::Number;
    let rows = vec![
        row("all", [number(0.5), number(0.4), number(0.6), Cell::Integer(0)], Cell::from("better")),
        row("value", [number(0.99), number(0.9), number(1.1), Cell::Integer(3)], Cell::from("inconclusive")),
        row("none", [Cell::Empty, Cell::Empty, Cell::Empty, Cell::Empty], Cell::Empty),
    ];
    let columns = COLUMNS.map(|name| SummaryColumn { name: name.to_owned(), meaning: String::new() });
    values(&[SummaryTable { step: "cache".to_owned(), name: "arms".to_owned(), columns: columns.into(), rows }])
        .expect("values")
}

fn claims(text: &str) -> Result<Vec<Claim>> {
    read::parse("report-src/claims.toml", text)
}

/// A claim with these conditions, or another line in the place of them.
fn file(conditions: &str) -> String {
    format!(
        "# The only one.\n[[claim]]\nname = \"it-saves\"\nstep = \"cache\"\nhypothesis = \"It saves.\"\nall = [{conditions}]\n\
         held = 'It saves: {{{{ value(\"cache.arms.all.ratio\") }}}}.'\noverturned = \"It does not.\"\nunknown = \"Nobody knows.\"\n"
    )
}

fn verdicts(text: &str) -> Result<Vec<Verdict>> {
    let values = measured();
    let steps = [("cache".to_owned(), true), ("surge".to_owned(), false)].into();
    let claims = claims(text)?;
    Ok(judge(&claims, &Evidence { values: &values, steps })?.iter().map(|judged| judged.verdict).collect())
}

fn verdict(conditions: &str) -> Verdict {
    verdicts(&file(conditions)).unwrap_or_else(|error| panic!("{error:#}"))[0]
}

fn error(text: &str) -> String {
    format!("{:#}", verdicts(text).expect_err("the claim makes no sense"))
}

#[test]
fn each_operator_has_two_sides() {
    let cases = [
        ("all.ratio", "above = 0.4", "above = 0.5"),
        ("all.ratio", "at_least = 0.5", "at_least = 0.51"),
        ("all.ratio", "below = 1", "below = 0.5"),
        ("all.ratio", "at_most = 0.5", "at_most = 0.49"),
        ("all.count", "at_most = 0", "above = 0"),
        ("all.ratio", "above = 0.4, below = 0.6", "above = 0.4, below = 0.5"),
        ("all.verdict", "is = \"better\"", "is = \"worse\""),
        ("all.verdict", "is_one_of = [\"equivalent\", \"better\"]", "is_one_of = [\"equivalent\", \"worse\"]"),
        (
            "value.verdict",
            "is = \"inconclusive\"",
            "is = \"inconclusive\" }, { key = \"cache.arms.all.count\", above = 0",
        ),
    ];
    for (cell, met, violated) in cases {
        let condition = |test: &str| verdict(&format!("{{ key = \"cache.arms.{cell}\", {test} }}"));
        assert_eq!(condition(met), Verdict::Held, "{cell} {met}");
        assert_eq!(condition(violated), Verdict::Overturned, "{cell} {violated}");
    }
}

#[test]
fn what_does_not_say_is_unknown() {
    for condition in [
        "{ key = \"cache.arms.none.ratio\", below = 1 }",
        "{ key = \"cache.arms.none.verdict\", is = \"better\" }",
        "{ key = \"cache.arms.value.verdict\", is_one_of = [\"better\", \"worse\"] }",
        "{ key = \"surge.any.key.column\", above = 1 }",
        "{ key = \"cache.arms.all.ratio\", below = 1 }, { key = \"cache.arms.none.ratio\", below = 1 }",
    ] {
        assert_eq!(verdict(condition), Verdict::Unknown, "{condition}");
    }
    let violated = "{ key = \"cache.arms.none.ratio\", below = 1 }, { key = \"cache.arms.all.ratio\", above = 1 }";
    assert_eq!(verdict(violated), Verdict::Overturned, "one violated condition is enough");
}

#[test]
fn an_interval_decides_only_as_a_whole() {
    let interval = |row: &str, test: &str| {
        verdict(&format!("{{ key = \"cache.arms.{row}.low_ratio\", to = \"cache.arms.{row}.high_ratio\", {test} }}"))
    };
    assert_eq!(interval("all", "below = 1"), Verdict::Held);
    assert_eq!(interval("all", "above = 1"), Verdict::Overturned);
    assert_eq!(interval("all", "below = 0.5"), Verdict::Unknown);
    assert_eq!(interval("value", "below = 1"), Verdict::Unknown);
    assert_eq!(interval("none", "below = 1"), Verdict::Unknown);
}

#[test]
fn the_sentence_is_that_of_the_verdict() {
    let values = measured();
    let claims = claims(&file("{ key = \"cache.arms.all.ratio\", below = 1 }")).expect("claims");
    let plain = |verdict| Judged { claim: &claims[0], verdict }.plain(&values);
    assert_eq!(plain(Verdict::Held), "It saves: 0.50×.");
    assert_eq!(plain(Verdict::Overturned), "It does not.");
    assert_eq!(plain(Verdict::Unknown), "Nobody knows.");
}

#[test]
fn a_key_that_nothing_has_is_an_error_wherever_it_stands() {
    insta::assert_snapshot!(error(&file("{ key = \"cache.arms.all.ration\", below = 1 }")), @"`report-src/claims.toml:2`: the claim `it-saves`: unknown value `cache.arms.all.ration`; the nearest is `cache.arms.all.ratio`");
    insta::assert_snapshot!(error(&file("{ key = \"cash.arms.all.ratio\", below = 1 }")), @"`report-src/claims.toml:2`: the claim `it-saves`: `cash.arms.all.ratio`: unknown step `cash`; the nearest is `cache`");
    insta::assert_snapshot!(error(&file("{ key = \"cache.arms.ratio\", below = 1 }")), @"`report-src/claims.toml:2`: the claim `it-saves`: `cache.arms.ratio` is not the key of a value; keys read `step.table.row.column`, and `experiments trace STEP` lists those of a step");
    let good = file("{ key = \"cache.arms.all.ratio\", below = 1 }");
    insta::assert_snapshot!(error(&good.replace("It does not.", "It does {{ value('cache.arms.al.ratio') }}.")), @"`report-src/claims.toml:2`: the claim `it-saves`: unknown value `cache.arms.al.ratio`; the nearest is `cache.arms.all.ratio`");
    insta::assert_snapshot!(error(&good.replace("\"cache\"", "\"cash\"")), @"`report-src/claims.toml:2`: the claim `it-saves`: unknown step `cash`; the nearest is `cache`");
}

#[test]
fn a_condition_that_does_not_fit_its_value_is_an_error() {
    insta::assert_snapshot!(error(&file("{ key = \"cache.arms.all.verdict\", below = 1 }")), @"`report-src/claims.toml:2`: the claim `it-saves`: `cache.arms.all.verdict` holds the text `better`; compare it with `is` or `is_one_of`");
    insta::assert_snapshot!(error(&file("{ key = \"cache.arms.all.count\", is = \"0\" }")), @"`report-src/claims.toml:2`: the claim `it-saves`: `cache.arms.all.count` holds the number 0; compare it with `above`, `at_least`, `below` or `at_most`");
    insta::assert_snapshot!(error(&file("{ key = \"cache.arms.all.count\" }")), @"`report-src/claims.toml:2`: the claim `it-saves`: `cache.arms.all.count` is compared with nothing; use `is`, `is_one_of`, `above`, `at_least`, `below` or `at_most`");
    insta::assert_snapshot!(error(&file("{ key = \"cache.arms.all.count\", above = nan }")), @"`report-src/claims.toml:2`: the claim `it-saves`: `cache.arms.all.count` is compared with what is no number");
    insta::assert_snapshot!(error(&file("{ key = \"cache.arms.all.verdict\", is_one_of = [] }")), @"`report-src/claims.toml:2`: the claim `it-saves`: `cache.arms.all.verdict` can be none of the words in an empty `is_one_of`");
    insta::assert_snapshot!(error(&file("{ key = \"cache.arms.all.verdict\", to = \"cache.arms.all.ratio\", is = \"better\" }")), @"`report-src/claims.toml:2`: the claim `it-saves`: `cache.arms.all.verdict` is the end of an interval, as `to` says; words have none");
    insta::assert_snapshot!(error(&file("{ key = \"cache.arms.all.count\", over = 1 }")), @"`report-src/claims.toml:2`: the claim `it-saves`: unknown field `over`, expected one of `key`, `to`, `is`, `is_one_of`, `above`, `at_least`, `below`, `at_most` in `all`");
    insta::assert_snapshot!(error(&file("")), @"`report-src/claims.toml:2`: the claim `it-saves`: `all` holds no condition; a claim that no value can overturn is none");
}

#[test]
fn a_claim_that_cannot_be_read_is_named() {
    let good = file("{ key = \"cache.arms.all.ratio\", below = 1 }");
    insta::assert_snapshot!(error(&format!("{good}expects = \"held\"\n")), @"`report-src/claims.toml:2`: the claim `it-saves`: unknown field `expects`, expected one of `name`, `step`, `hypothesis`, `all`, `held`, `overturned`, `unknown`");
    insta::assert_snapshot!(error(&format!("{good}\n{good}")), @"`report-src/claims.toml:12`: the claim `it-saves`: another claim has this name; give it one of its own");
    insta::assert_snapshot!(error(&good.replace("unknown = \"Nobody knows.\"\n", "")), @"`report-src/claims.toml:2`: the claim `it-saves`: missing field `unknown`");
    insta::assert_snapshot!(error(&good.replace("name = \"it-saves\"\n", "")), @"`report-src/claims.toml:2`: a claim without a name: missing field `name`");
    insta::assert_snapshot!(error(&good.replace("it-saves", "It saves")), @"`report-src/claims.toml:2`: the claim `It saves`: a name consists of small letters, digits and `-`");
    insta::assert_snapshot!(error(&good.replace("It saves.", "It saves {{ value('cache.arms.all.ratio') }}.")), @"`report-src/claims.toml:2`: the claim `it-saves`: `hypothesis` is a sentence from before the run, which can quote no value");
    insta::assert_snapshot!(error(&good.replace("It does not.", "")), @"`report-src/claims.toml:2`: the claim `it-saves`: `overturned`: the sentence is empty; write one that is true when this is the verdict");
    let misnamed = error("[[claims]]\n");
    assert!(
        misnamed.starts_with("`report-src/claims.toml` is not a list of `[[claim]]`: TOML parse error at line 1"),
        "{misnamed}"
    );
    assert!(misnamed.contains("unknown field `claims`"), "{misnamed}");
    assert!(error(&good.replace("all = [", "all = {")).contains("TOML parse error at line 6"));
}
