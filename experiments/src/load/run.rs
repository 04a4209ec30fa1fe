//! The parent's side of a trial: starts the child, hears its events, ends it when it takes too long or is no longer wanted, and
//! reads its result. It refuses to know what is being compared.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::event::Event;
use super::result::TrialResult;
use super::spec::TrialSpec;

/// Beyond its planned duration and its drain limit, a trial may take this long to start and to write its result.
const GRACE: Duration = Duration::from_secs(10);

/// Starts trials.
#[derive(Clone, Debug, Default)]
pub struct Runner {
    /// The program that knows the command `trial`, usually the running one.
    pub binary: PathBuf,
    /// A command that runs its arguments as a command; it should end them when this process dies. Empty for none.
    pub prefix: Vec<OsString>,
    /// Processors for the generator; empty for what the specification says.
    pub cpu_list: Vec<usize>,
}

/// A trial that ended well.
#[derive(Clone, Debug)]
pub struct TrialOutcome {
    /// What it saw.
    pub result: TrialResult,
    /// From its start to the end of its process.
    pub wall: Duration,
}

impl Runner {
    /// Runs one trial. `on_event` is awaited before the next event is read. The specification is written beside the result,
    /// as `<output>.spec.json`. Dropping the future kills the child.
    ///
    /// # Errors
    /// When the specification is not usable, the child cannot be started, takes too long or fails; the message carries what it said.
    pub async fn run(&self, spec: &TrialSpec, mut on_event: impl AsyncFnMut(Event)) -> Result<TrialOutcome> {
        let spec = self.placed(spec);
        spec.validate().context("the trial's specification is not usable")?;
        let spec_path = write_spec(&spec)?;
        let started = Instant::now();
        let mut child = self.start(&spec_path)?;
        let output = child.stdout.take().context("the trial has no standard output")?;
        let errors = child.stderr.take().context("the trial has no standard error")?;
        let limit = time_limit(&spec);
        let conversation = async {
            let mut said = String::new();
            let mut errors = BufReader::new(errors);
            let (heard, read) =
                tokio::join!(listen(BufReader::new(output).lines(), &mut on_event), errors.read_to_string(&mut said));
            heard.and(read.map(drop)).context("could not read what the trial prints")?;
            let status = child.wait().await.context("could not wait for the trial")?;
            Ok::<_, anyhow::Error>((status, said))
        };
        let Ok(ended) = tokio::time::timeout(limit, conversation).await else {
            // The child was borrowed until here; it is killed and waited for, so that its port and its memory are free again.
            child.kill().await.context("could not end a trial that took too long")?;
            bail!(
                "the trial did not end within {limit:.0?} and was stopped; does the server at `{}` hang?",
                spec.targets.iter().map(|target| target.base_url.as_str()).collect::<Vec<_>>().join("`, `")
            );
        };
        let (status, said) = ended?;
        succeed(status, &said)?;
        Ok(TrialOutcome { result: TrialResult::read(&spec.output)?, wall: started.elapsed() })
    }

    fn placed(&self, spec: &TrialSpec) -> TrialSpec {
        let mut spec = spec.clone();
        if !self.cpu_list.is_empty() {
            spec.cpu_list.clone_from(&self.cpu_list);
        }
        spec
    }

    fn start(&self, spec_path: &Path) -> Result<Child> {
        let mut words =
            self.prefix.iter().cloned().chain([self.binary.clone().into_os_string(), "trial".into(), spec_path.into()]);
        let program = words.next().context("the trial has no program")?;
        let mut command = Command::new(&program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.spawn().with_context(|| format!("could not start the trial with `{}`", program.display()))
    }
}

fn time_limit(spec: &TrialSpec) -> Duration {
    // A request that is sent at the end of the drain may take its whole time-out.
    let seconds = spec.planned_duration_s() + f64::from(spec.drain_limit_s) + f64::from(spec.timeout_s);
    Duration::from_secs_f64(seconds) + GRACE
}

fn write_spec(spec: &TrialSpec) -> Result<PathBuf> {
    let mut name = spec.output.clone().into_os_string();
    name.push(".spec.json");
    let path = PathBuf::from(name);
    if spec.output.exists() {
        // A result of an earlier trial must not be taken for the result of this one.
        std::fs::remove_file(&spec.output)
            .with_context(|| format!("could not remove the old result `{}`", spec.output.display()))?;
    }
    let text = serde_json::to_string_pretty(spec).context("could not write the trial's specification")?;
    std::fs::write(&path, text)
        .with_context(|| format!("could not write the trial's specification `{}`", path.display()))?;
    Ok(path)
}

async fn listen(
    mut lines: Lines<BufReader<ChildStdout>>,
    on_event: &mut impl AsyncFnMut(Event),
) -> std::io::Result<()> {
    while let Some(line) = lines.next_line().await? {
        match Event::parse(&line) {
            Some(event) => on_event(event).await,
            None => tracing::debug!(line, "the trial printed"),
        }
    }
    Ok(())
}

fn succeed(status: ExitStatus, said: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let last: Vec<&str> = said.lines().rev().filter(|line| !line.trim().is_empty()).take(5).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    let words = last.join("\n");
    let words = words.strip_prefix("error: ").or(words.strip_prefix("Error: ")).unwrap_or(&words);
    bail!("the trial failed ({status}): {words}")
}
