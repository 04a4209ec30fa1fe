//! `just check-claims`: the claims of `report-src/claims.toml` against the results that are there. It changes nothing.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;

use super::{Project, summaries};
use crate::{
    report::{
        Templates,
        claims::{self, Claim, Evidence, Judged, Verdict},
        values,
    },
    results::ResultsFolder,
    steps::{STEPS, Usage},
};

/// Prints a line for each claim: its verdict, and the sentence for it. Whether all that could be decided held.
///
/// # Errors
/// [`Usage`] when there are no results, or when a claim makes no sense: then it and its key are named.
pub fn check_claims(project: &Project, results: &Path) -> Result<bool> {
    let folder = ResultsFolder::read_only(results);
    let values = values::values(&summaries::summaries(&folder)?)?;
    let mut steps = BTreeMap::new();
    for step in STEPS {
        let is_measured = folder.record(step.name())?.is_some() && folder.failure(step.name())?.is_none();
        steps.insert(step.name().to_owned(), is_measured);
    }
    let claims = claims::read(&Templates::read(&project.root.join("report-src"))?).map_err(usage)?;
    let evidence = Evidence { values: &values, steps };
    let judged = claims::judge(&claims, &evidence).map_err(usage)?;
    if values.is_empty() {
        let place = results.display();
        return Err(
            Usage(format!("there are no results in `{place}`; run `just all`, then `just check-claims`")).into()
        );
    }
    for one in &judged {
        say!("{:<10}  {}: {}{}", one.verdict.word(), one.claim.name, one.plain(&values), remark(one, &evidence));
    }
    let of = |verdict| judged.iter().filter(move |one: &&Judged<'_>| one.verdict == verdict);
    let [held, overturned, unknown] = [Verdict::Held, Verdict::Overturned, Verdict::Unknown].map(|v| of(v).count());
    say!("{held} held, {overturned} overturned, {unknown} unknown");
    let names: Vec<&str> = of(Verdict::Overturned).map(|one| one.claim.name.as_str()).collect();
    if !names.is_empty() {
        remark!(
            "error: overturned: {}; find out what changed, or write what is believed now into `report-src/{}`",
            names.join(", "),
            claims::FILE
        );
    }
    Ok(names.is_empty())
}

/// What to know besides the sentence.
fn remark(judged: &Judged<'_>, evidence: &Evidence<'_>) -> String {
    let Claim { step, hypothesis, .. } = judged.claim;
    match judged.verdict {
        Verdict::Held => String::new(),
        Verdict::Overturned => format!(" Was believed: {hypothesis}"),
        Verdict::Unknown if evidence.steps.get(step) == Some(&false) => {
            format!(" There are no results of `{step}`; run `just all {step}`.")
        }
        Verdict::Unknown => String::new(),
    }
}

/// A claim that makes no sense is the author's to mend, and no fault of the program.
fn usage(error: anyhow::Error) -> anyhow::Error {
    Usage(format!("{error:#}")).into()
}
