//! The door: what the user can say, and which exit code answers. It does nothing itself.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{
    pipeline::{
        self, BenchAppOptions, CompareOptions, NoBaseline, NotAReport, NotAlike, NotebookOptions, Outcome, Project,
        RunOptions, ServeOptions, StaleResults, Verified,
    },
    results::Damage,
    steps::Usage,
};

/// Exit codes, as the README lists them.
mod code {
    pub(super) const INTERNAL: u8 = 1;
    pub(super) const USAGE: u8 = 2;
    pub(super) const REGRESSION: u8 = 10;
    pub(super) const NO_BASELINE: u8 = 11;
    pub(super) const INVALID: u8 = 12;
    pub(super) const NOT_ALIKE: u8 = 13;
    pub(super) const STALE: u8 = 14;
    pub(super) const FALSE: u8 = 15;
    pub(super) const MISSING: u8 = 16;
    pub(super) const INTERRUPTED: u8 = 130;
}

/// The bench of Loadbook: measures the blog and makes the report.
#[derive(Debug, Parser)]
#[command(name = "experiments", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The folder of results.
    #[arg(long, global = true, value_name = "FOLDER")]
    results: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure the steps whose results are not fresh, then make the report.
    Run {
        /// Steps to measure; all when none is named.
        steps: Vec<String>,
        /// How much to measure: a profile of `experiments/profiles.toml`.
        #[arg(long, default_value = "full")]
        profile: String,
        /// Measure steps with fresh results too.
        #[arg(long)]
        force: bool,
        /// End with the first step that fails.
        #[arg(long)]
        fail_fast: bool,
    },
    /// Make the report from the results that are there.
    Report {
        /// Where the PDF goes.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Print results whose inputs have changed since, with a mark at each of their numbers; without this, exit code 14 names them.
        #[arg(long)]
        allow_stale: bool,
    },
    /// Make the report as one HTML file that loads nothing.
    Html {
        /// Where the page goes [default: `report.html` in the folder of results].
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Print stale results too, as `report` does.
        #[arg(long)]
        allow_stale: bool,
    },
    /// Serve the report as a page that follows the run and every edit of the text, until Ctrl-C.
    Notebook {
        /// The port; 0 for any free one.
        #[arg(long, default_value_t = 8090)]
        port: u16,
    },
    /// Print the summaries as tables.
    Results {
        /// Steps to print; all when none is named.
        steps: Vec<String>,
    },
    /// Say which steps are fresh, stale, failed or never run, and how long each took.
    Status,
    /// Say what changed since a step was measured, with what there was and what there is now.
    Why {
        /// The step.
        step: String,
    },
    /// Draw what a run spent its time on, and how well it foresaw that.
    Timeline {
        /// The log of the run, below `.run`; the newest when none is named.
        log: Option<PathBuf>,
    },
    /// Say where a value of the report comes from: its cell, its meaning, the rows it is made of, and their run.
    Trace {
        /// The key of the value, such as `cache.arms.view.p50_us`, the beginning of keys, or the number as it is printed, such as
        /// `1.05 ms`.
        #[arg(required_unless_present = "page", conflicts_with = "page")]
        value: Option<String>,
        /// Everything that this page of the report prints, counted from 1.
        #[arg(long)]
        page: Option<usize>,
        /// The report with that page [default: `report.pdf` of the results].
        #[arg(long, requires = "page", value_name = "PDF")]
        report: Option<PathBuf>,
    },
    /// Hold a report against what is attached to it: its files, its values, its pages. Nothing but the PDF and Typst is needed.
    Verify {
        /// The report.
        pdf: PathBuf,
        /// Unpack what is attached into this folder, which must be empty or not there.
        #[arg(long, value_name = "FOLDER")]
        extract: Option<PathBuf>,
    },
    /// Make the report many times, each time under other circumstances, and compare the files byte for byte.
    Reproduce {
        /// How many times.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=1000))]
        builds: u16,
    },
    /// Hold the claims of `report-src/claims.toml` against the results; exit code 15 says that one was overturned.
    CheckClaims,
    /// Run the blog with its own servers until Ctrl-C.
    Serve {
        /// The port of NGINX; 0 for any free one.
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// Keep who has logged in with the server that did it.
        #[arg(long)]
        sticky: bool,
        /// Keep sessions in each server's own memory, so that one can see how they are lost.
        #[arg(long)]
        memory_sessions: bool,
    },
    /// Hold the blog against what its parts can do.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Private PostgreSQL and Redis, for looking around and for tests.
    #[command(subcommand)]
    Stack(StackCommand),
    /// Make the present full run the committed reference, and put its table into the README.
    Bless,
    /// Hold a run against an earlier one; exit code 10 says that something became worse.
    Compare {
        /// The baseline: a folder of results, a report, or a git revision for the reference as it was then [default: the reference].
        #[arg(value_name = "A")]
        before: Option<String>,
        /// What is held against it, given in the same way [default: the present results].
        #[arg(value_name = "B")]
        after: Option<String>,
        /// Compare also what was not measured alike, and say so above the table.
        #[arg(long)]
        anyway: bool,
    },
    /// Write `results/README.md`, the data dictionary, anew.
    Dictionary,
    /// Run one trial as its specification says; the steps start this as a process of its own.
    Trial {
        /// The specification, a JSON file.
        spec: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Print what the blog costs beside a bare server, NGINX and pgbench; exit code 15 says that a promise was not kept.
    App {
        /// Blocks; in each every contender is tried once. Fewer than six give no interval.
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
        blocks: u32,
        /// Measured seconds of each contender at the offered rate in a block.
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
        /// Offered requests per second.
        #[arg(long, default_value_t = 2000.0)]
        rate_per_s: f64,
        /// Posts of the blog; page 10,000 of the list needs the default.
        #[arg(long, default_value_t = 201_000)]
        posts: u32,
    },
}

#[derive(Debug, Subcommand)]
enum StackCommand {
    /// Start both, print their addresses, and wait for Ctrl-C.
    Up,
    /// Start both, run a command with `TEST_DATABASE_URL` and `TEST_REDIS_URL`, and stop them.
    Exec {
        /// The command and its arguments.
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<String>,
    },
}

/// Parses the arguments, does what they say, and prints an error once, with its causes.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A trial sets its own processors before any thread exists, so it comes before the runtime.
    let outcome = match arguments.command {
        Command::Trial { ref spec } => crate::load::trial::main(spec).map(|()| 0),
        // What needs no checkout comes before one is looked for.
        Command::Verify { ref pdf, ref extract } => verify(pdf, extract.as_deref()),
        command => runtime().and_then(|runtime| runtime.block_on(dispatch(command, arguments.results))),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            remark!("error: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn verify(pdf: &std::path::Path, extract: Option<&std::path::Path>) -> Result<u8> {
    let (code, words) = match pipeline::verify(pdf, extract)? {
        Verified::Same => return Ok(0),
        Verified::Differs(what) => (code::FALSE, format!("`{}` is not verified: {what}", pdf.display())),
        Verified::OtherTypst(what) => {
            (code::NOT_ALIKE, format!("`{}` is verified but for its pages: {what}", pdf.display()))
        }
    };
    remark!("error: {words}");
    Ok(code)
}

async fn dispatch(command: Command, results: Option<PathBuf>) -> Result<u8> {
    let project = Project::find()?;
    let results = results.unwrap_or_else(|| pipeline::default_results(&project.root));
    match command {
        Command::Run { steps, profile, force, fail_fast } => {
            let options = RunOptions { steps, profile, force, fail_fast, results };
            let outcome = pipeline::run(&project, &options).await?;
            return Ok(match outcome {
                Outcome::Done => 0,
                Outcome::Failed(steps) => {
                    remark!("error: failed: {}; the report says why", steps.join(", "));
                    code::INVALID
                }
                Outcome::Interrupted => code::INTERRUPTED,
            });
        }
        Command::Report { output, allow_stale } => {
            say!("{}", pipeline::report(&project, &results, output.as_deref(), stale(allow_stale))?.display())
        }
        Command::Html { output, allow_stale } => {
            say!("{}", pipeline::html(&project, &results, output.as_deref(), stale(allow_stale))?.display())
        }
        Command::Notebook { port } => pipeline::notebook(&project, &NotebookOptions { port, results }).await?,
        Command::Results { steps } => pipeline::print_results(&results, &steps)?,
        Command::Status => pipeline::status(&project, &results)?,
        Command::Why { step } => pipeline::why(&project, &results, &step)?,
        Command::Timeline { log } => pipeline::timeline(&project, log.as_deref())?,
        Command::Trace { page: Some(page), report, .. } => {
            pipeline::trace_page(&report.unwrap_or_else(|| results.join("report.pdf")), page)?;
        }
        Command::Trace { value, .. } => pipeline::trace(&results, &value.unwrap_or_default())?,
        Command::Reproduce { builds } => {
            let is_same = pipeline::reproduce(&project, &results, usize::from(builds))?;
            return Ok(if is_same { 0 } else { code::FALSE });
        }
        Command::Verify { pdf, extract } => return verify(&pdf, extract.as_deref()),
        Command::CheckClaims => {
            return Ok(if pipeline::check_claims(&project, &results)? { 0 } else { code::FALSE });
        }
        Command::Serve { port, sticky, memory_sessions } => {
            pipeline::serve(&project, &ServeOptions { port, sticky, memory_sessions }).await?;
        }
        Command::Bench(BenchCommand::App { blocks, seconds, rate_per_s, posts }) => {
            let kept = pipeline::bench_app(&project, BenchAppOptions { blocks, seconds, rate_per_s, posts }).await?;
            return Ok(if kept { 0 } else { code::FALSE });
        }
        Command::Stack(StackCommand::Up) => {
            let folder = crate::stack::RunFolder::temporary(&project.runs(), pipeline::stack_programs(&project)?)?;
            crate::stack::up(folder).await?;
        }
        Command::Stack(StackCommand::Exec { command }) => return pipeline::with_services(&project, &command).await,
        Command::Compare { before, after, anyway } => {
            let worse = pipeline::compare(&project, &CompareOptions { before, after, anyway, results })?;
            if !worse.is_empty() {
                remark!("error: worse: {}", worse.join(", "));
                return Ok(code::REGRESSION);
            }
        }
        Command::Bless => {
            let reference = pipeline::bless(&project, &results)?;
            say!("this run is the reference now, in `{}` and in `README.md`; commit both", reference.display());
        }
        Command::Dictionary => std::fs::write(project.root.join("results/README.md"), pipeline::dictionary())?,
        Command::Trial { spec } => crate::load::trial::main(&spec)?,
    }
    Ok(0)
}

fn stale(are_allowed: bool) -> StaleResults {
    if are_allowed { StaleResults::Mark } else { StaleResults::Refuse }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let is = |found: bool, code: u8| found.then_some(code);
    is(error.downcast_ref::<Usage>().is_some(), code::USAGE)
        .or(is(error.downcast_ref::<crate::stack::PortInUse>().is_some(), code::USAGE))
        .or(is(error.downcast_ref::<NotAReport>().is_some(), code::USAGE))
        .or(is(error.downcast_ref::<NoBaseline>().is_some(), code::NO_BASELINE))
        .or(is(error.downcast_ref::<NotAlike>().is_some(), code::NOT_ALIKE))
        .or(is(error.downcast_ref::<Damage>().is_some(), code::FALSE))
        .or(is(error.downcast_ref::<pipeline::Stale>().is_some(), code::STALE))
        .or(is(error.downcast_ref::<setup::Missing>().is_some(), code::MISSING))
        .unwrap_or(code::INTERNAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn errors_have_their_exit_codes() {
        assert_eq!(exit_code(&anyhow::Error::from(Usage("no".to_owned()))), code::USAGE);
        let nested = anyhow::Error::from(Usage("no".to_owned())).context("while reading");
        assert_eq!(exit_code(&nested), code::USAGE);
        assert_eq!(exit_code(&anyhow::anyhow!("anything")), code::INTERNAL);
    }
}
