//! From a question to the PDF: the only file that sees every room. It orders the work and decides nothing of its content.

mod attachments;
mod bench_app;
mod bless;
mod claims;
mod compare;
mod document;
mod environment;
mod ingredients;
mod kept;
mod manifest;
mod notebook;
mod page;
mod present;
mod programs;
mod provenance;
mod reproduce;
mod serve;
mod staleness;
mod status;
mod summaries;
mod test_services;
mod timeline;
mod trace;
mod trace_page;
mod verify;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use chrono::{SecondsFormat, Utc};

use crate::{
    results::{Environment, Failure, Inputs, ResultsFolder, StepRecord, hash_bytes},
    stack::Ended,
    steps::{Bench, Blog, EventLog, Kept, Profile, Progress, STEPS, Step, Usage, unknown},
};

pub use bench_app::{BenchAppOptions, bench_app};
pub use bless::bless;
pub use claims::check_claims;
pub use compare::{COMPARED_METRICS, CompareOptions, NoBaseline, NotAlike, compare};
pub use document::{Stale, StaleResults, dictionary, report};
pub use notebook::{NotebookOptions, notebook};
pub use page::html;
pub use programs::{programs, stack_programs};
pub use reproduce::reproduce;
pub use serve::{ServeOptions, serve};
pub use status::{print_results, status, why};
pub use test_services::with_services;
pub use timeline::timeline;
pub use trace::trace;
pub use trace_page::trace_page;
pub use verify::{NotAReport, Verified, verify};

use present::Present;
use staleness::Staleness;

/// The checkout that holds the specimen, the templates and the results.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its root.
    pub root: PathBuf,
}

impl Project {
    /// Finds the root: the working directory or the nearest folder above it that holds the report's templates.
    ///
    /// # Errors
    /// When there is none.
    pub fn find() -> Result<Self> {
        let here = std::env::current_dir().context("cannot tell the working directory")?;
        let root = here.ancestors().find(|folder| folder.join("report-src/main.typ.j2").is_file());
        let root = root.with_context(|| {
            format!("`{}` is not in a checkout of Loadbook; change into the folder with the `justfile`", here.display())
        })?;
        Ok(Self { root: root.to_owned() })
    }

    /// The folder of temporary run folders.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.root.join(".run")
    }

    /// `profiles.toml`.
    #[must_use]
    pub fn profiles(&self) -> PathBuf {
        self.root.join("experiments/profiles.toml")
    }
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The steps by name; all when empty.
    pub steps: Vec<String>,
    /// The profile's name.
    pub profile: String,
    /// Whether steps with current results are measured too.
    pub force: bool,
    /// Whether the first step that fails ends the run; otherwise the others are measured all the same.
    pub fail_fast: bool,
    /// Where results go.
    pub results: PathBuf,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was measured and printed.
    Done,
    /// These steps failed; the report shows them as failed.
    Failed(Vec<String>),
    /// Stopped by a signal; what was finished is kept.
    Interrupted,
}

/// Measures what is due, then makes the report.
///
/// # Errors
/// When nothing can be measured or the report cannot be made; a step that fails is an [`Outcome`].
pub async fn run(project: &Project, options: &RunOptions) -> Result<Outcome> {
    let profile = Profile::read(&project.profiles(), &options.profile)?;
    let steps = chosen(&options.steps)?;
    let results = ResultsFolder::open(&options.results)?;
    let _lock = results.lock()?;
    let programs = programs(project)?;
    let due = due(project, &results, &profile, options, &steps)?;
    let mut run = Run { project, options, profile, results, programs, failed: Vec::new() };
    if !due.is_empty() {
        // Handlers first: a signal must find them, whatever is being started.
        let signal = interrupted()?;
        tokio::select! {
            measured = run.measure(&due) => measured?,
            () = signal => {
                remark!("interrupted: finished steps and trials are kept; run the same command again to go on from here");
                return Ok(Outcome::Interrupted);
            }
        }
    }
    // What was not asked for may be stale; the report says so at each of its numbers.
    let pdf = report(project, &options.results, None, StaleResults::Mark)?;
    say!("{}", pdf.display());
    Ok(if run.failed.is_empty() { Outcome::Done } else { Outcome::Failed(run.failed) })
}

/// The steps of these names, in the order of the report; all for no name.
fn chosen(names: &[String]) -> Result<Vec<&'static dyn Step>> {
    let valid: Vec<String> = STEPS.iter().map(|step| step.name().to_owned()).collect();
    if let Some(name) = names.iter().find(|name| !valid.contains(name)) {
        return Err(Usage(unknown("step", name, valid.iter())).into());
    }
    Ok(STEPS.iter().copied().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name())).collect())
}

/// The steps without a fresh result of this profile; says of each why it is measured, or that it is skipped.
fn due(
    project: &Project,
    results: &ResultsFolder,
    profile: &Profile,
    options: &RunOptions,
    steps: &[&'static dyn Step],
) -> Result<Vec<&'static dyn Step>> {
    let mut staleness = Staleness::look(project, results)?;
    let mut due = Vec::new();
    for &step in steps {
        let reasons = staleness.of_step(step, Some((&options.profile, profile)))?;
        match reasons.as_slice() {
            [] if options.force => remark!("{}: measured again, as `--force` asks", step.name()),
            [] => {
                remark!("{}: skipped, its results are fresh; `--force` measures again", step.name());
                continue;
            }
            [first, rest @ ..] => {
                let others = match rest.len() {
                    0 => String::new(),
                    1 => " (and one more reason)".to_owned(),
                    count => format!(" (and {count} more reasons)"),
                };
                remark!("{}: measured, because {}{others}", step.name(), first.words);
            }
        }
        due.push(step);
    }
    Ok(due)
}

struct Run<'a> {
    project: &'a Project,
    options: &'a RunOptions,
    profile: Profile,
    results: ResultsFolder,
    programs: crate::steps::Programs,
    failed: Vec<String>,
}

impl Run<'_> {
    async fn measure(&mut self, due: &[&'static dyn Step]) -> Result<()> {
        let mut planned = Vec::with_capacity(due.len());
        for step in due {
            planned.push((step.name(), self.expected_s(*step)?));
        }
        let mut progress = Progress::new(&planned, EventLog::create(&timeline::new_log(self.project))?);
        let mut blog = None;
        for &step in due {
            progress.begin(step.name());
            let started = Instant::now();
            match self.measure_step(step, &mut blog, &mut progress).await {
                Ok(record) => progress.end(&format!(
                    "measured in {:.1} s, {:.1} s of it in measured windows",
                    record.duration_s, record.measured_s
                )),
                Err(error) => {
                    // A store that died is the cause of whatever the step saw, so it is told first.
                    let error = match blog.as_ref().map_or(Ok(()), Blog::check) {
                        Err(cause) if error.downcast_ref::<Ended>().is_none() => error.context(format!("{cause:#}")),
                        _ => error,
                    };
                    progress.fail(&format!("failed after {:.1} s: {error:#}", started.elapsed().as_secs_f64()));
                    self.note_failure(step, &error)?;
                    // A store that died must not take the next step with it.
                    if let Some(broken) = blog.take_if(|blog: &mut Blog| blog.check().is_err()) {
                        let _ = broken.stop().await;
                    }
                    if self.options.fail_fast {
                        progress.line("the other steps are not measured, as `--fail-fast` asks");
                        break;
                    }
                }
            }
        }
        progress.finish();
        if let Some(blog) = blog { blog.stop().await } else { Ok(()) }
    }

    /// How long the step is expected to take: as long as the last time, if that was with the same parameters.
    fn expected_s(&self, step: &dyn Step) -> Result<f64> {
        let parameters = step.parameters(&self.profile)?;
        let last = self.results.record(step.name()).ok().flatten();
        let last = last.filter(|last| last.parameters == parameters && last.profile == self.options.profile);
        Ok(last.map_or_else(|| step.planned_s(&self.profile), |last| last.duration_s))
    }

    async fn measure_step(
        &self,
        step: &'static dyn Step,
        blog: &mut Option<Blog>,
        progress: &mut Progress,
    ) -> Result<StepRecord> {
        let (started, started_utc) = (Instant::now(), now());
        let mut present = Present::look(self.project)?;
        let (inputs, place) = (present.inputs(step)?, present.place());
        drop(present);
        let parameters = step.parameters(&self.profile)?;
        let identity = hash_bytes(format!("{inputs:?}{parameters}{}{place}", self.profile.seed).as_bytes());
        let kept = Kept::open(&self.results.journal(step.name()), &identity);
        let (before, kept_trials) = (kept.spent(), kept.count());
        if kept_trials > 0 {
            progress
                .line(&format!("{}: going on after {kept_trials} finished trials of an interrupted run", step.name()));
        }
        if blog.is_none() {
            let (runs, profile) = (self.project.runs(), &self.profile);
            let (placing, data, seed) = (profile.placement, profile.data, profile.seed);
            *blog = Some(Blog::start(self.programs.clone(), &runs, placing, data, seed).await?);
        }
        let blog = blog.as_mut().context("the blog was started")?;
        let out = self.results.begin(step.name())?;
        let mut bench = Bench::new(&self.profile, blog, out, progress, kept);
        if kept_trials > 0 {
            bench.warn(format!(
                "the run was interrupted: {kept_trials} finished trials are from before, and the others from after"
            ));
        }
        step.measure(&mut bench).await?;
        let settings = std::mem::take(&mut bench.settings);
        let environment = environment::read(self.project, bench.blog, &self.programs, settings).await?;
        let (out, measured, warnings) = bench.close();
        let record = self.record(step, inputs, parameters, environment);
        let record = StepRecord {
            started_utc,
            finished_utc: now(),
            duration_s: rounded(before + started.elapsed()),
            measured_s: rounded(measured),
            warnings,
            ..record
        };
        out.finish(record)
    }

    fn record(
        &self,
        step: &dyn Step,
        inputs: Inputs,
        parameters: serde_json::Value,
        environment: Environment,
    ) -> StepRecord {
        StepRecord {
            profile: self.options.profile.clone(),
            seed: self.profile.seed,
            arms: step.arms(),
            parameters,
            inputs,
            environment,
            commit: environment::commit(&self.project.root),
            ..StepRecord::new(step.name())
        }
    }

    fn note_failure(&mut self, step: &dyn Step, error: &anyhow::Error) -> Result<()> {
        self.failed.push(step.name().to_owned());
        self.results.fail(&Failure {
            step: step.name().to_owned(),
            profile: self.options.profile.clone(),
            failed_utc: now(),
            error: format!("{error:#}"),
        })
    }
}

/// Everything that the step's rows depend on as it is now, each with a hash or a version.
///
/// # Errors
/// When a file is missing or cannot be understood.
pub fn inputs(project: &Project, step: &dyn Step) -> Result<Inputs> {
    Present::look(project)?.inputs(step)
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Ends when the user or the system asks the run to stop.
fn interrupted() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

/// The default folder of results.
#[must_use]
pub fn default_results(project: &Path) -> PathBuf {
    project.join("results")
}
