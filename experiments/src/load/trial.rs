//! The child's side of a trial: reads the specification, takes its place on the processors, runs the engine, keeps the clock,
//! gathers the reports and writes the result. It refuses to know who started it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::resource::{Resource, Usage, UsageWho, getrlimit, getrusage, setrlimit};
use tokio::sync::oneshot;

use super::engine::{self, Shared};
use super::event::Event;
use super::pace::sharpen_sleep;
use super::recorder::{CellKey, Recorder, SparseHistogram};
use super::result::{Generator, PhaseResult, RESULT_VERSION, ResultCell, SecondCount, SessionResult, TrialResult};
use super::spec::TrialSpec;
use super::worker::{Report, SessionNote};

/// Runs the trial of a specification in this process, and writes its result where the specification says.
///
/// # Errors
/// When the specification is not usable, the server does not answer, the trial is interrupted, or the result cannot be written.
pub fn main(spec_path: &Path) -> Result<()> {
    let spec = TrialSpec::read(spec_path)?;
    // Before any other thread starts: threads inherit it.
    place(&spec.cpu_list)?;
    make_room(&spec)?;
    // Before goose starts: it would print its warnings on a logger of its own.
    let _ = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::ERROR).try_init();
    let interrupted = interruption()?;
    let result = run(&spec, interrupted)?;
    result.write(&spec.output)
}

fn run(spec: &TrialSpec, interrupted: oneshot::Receiver<&'static str>) -> Result<TrialResult> {
    // One thread: a second one would be woken for nothing at most rates, and take processor time from the server. A load that
    // is too much for one processor is sent by several processes, each with its part of the schedule.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start the asynchronous runtime")?;
    let (shared, reports) = {
        let _inside = runtime.enter();
        Shared::new(spec)?
    };
    let clock = std::thread::Builder::new().name("clock".to_owned());
    let collector = std::thread::Builder::new().name("collector".to_owned());
    let (done, finished) = oneshot::channel();
    let users = spec.users;
    let collecting = collector.spawn(move || collect(&reports, users, done)).context("could not start a thread")?;
    let clocking = {
        let (shared, spec) = (Arc::clone(&shared), spec.clone());
        clock.spawn(move || keep_time(&spec, &shared)).context("could not start a thread")?
    };
    let outcome = runtime.block_on(engine::run(spec, Arc::clone(&shared), finished, interrupted));
    runtime.shutdown_background();
    outcome?;
    let lost = |_| anyhow!("a thread of the trial panicked");
    let collected = collecting.join().map_err(lost)?;
    shared.require_answer(Duration::from_secs_f64(spec.planned_duration_s()))?;
    let window = clocking.join().map_err(lost)?;
    Ok(assemble(spec, &shared, &collected, &window?))
}

fn place(cpu_list: &[usize]) -> Result<()> {
    if cpu_list.is_empty() {
        return Ok(());
    }
    #[cfg(target_os = "linux")]
    {
        let mut set = nix::sched::CpuSet::new();
        cpu_list.iter().try_for_each(|&cpu| set.set(cpu))?;
        nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set).with_context(|| {
            format!("could not run on the processors {cpu_list:?}; name processors that this machine has in `cpu_list`")
        })
    }
    #[cfg(not(target_os = "linux"))]
    anyhow::bail!("this system cannot bind a process to processors; leave `cpu_list` empty")
}

/// Files that the process has open besides its connections: the executor's, the result's, the libraries'.
const OTHER_FILES: u64 = 32;

/// Each user may have a connection to each target. Without room for all of them some requests would fail for a reason that is not
/// the server's.
fn make_room(spec: &TrialSpec) -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("could not read how many files may be open")?;
    let needed = u64::from(spec.users) * spec.targets.len() as u64 + OTHER_FILES;
    if soft >= needed {
        return Ok(());
    }
    ensure!(
        hard >= needed,
        "`users` is {} for {} targets, which may need {needed} open files, and this process may only have {hard}; lower it, or raise \
         the limit with `ulimit -n {needed}`",
        spec.users,
        spec.targets.len()
    );
    setrlimit(Resource::RLIMIT_NOFILE, needed, hard).context("could not raise the limit of open files")
}

/// Must come before goose's own handler, which then fails harmlessly; a second Ctrl-C would otherwise end the process unasked.
fn interruption() -> Result<oneshot::Receiver<&'static str>> {
    let (sender, receiver) = oneshot::channel();
    let sender = Mutex::new(Some(sender));
    let handle = move || {
        goose::trigger_killswitch("SIGINT");
        if let Some(sender) = sender.lock().ok().and_then(|mut sender| sender.take()) {
            let _ = sender.send("Ctrl-C");
        }
    };
    ctrlc::set_handler(handle).context("could not listen for Ctrl-C")?;
    Ok(receiver)
}

struct Window {
    before: Usage,
    after: Usage,
}

/// The clock's thread: releases tickets, says where on the clock the trial is, and reads the generator's own cost at the edges
/// of the measured window.
fn keep_time(spec: &TrialSpec, shared: &Shared) -> Result<Window> {
    sharpen_sleep();
    let usage = || getrusage(UsageWho::RUSAGE_SELF).context("could not read this process's CPU time");
    let mut before = None;
    let origin = loop {
        match shared.pace.started() {
            Some(origin) => break origin,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    for (index, phase) in spec.phases.iter().enumerate() {
        // The parent hears of a phase at the beginning of the pause before it.
        let pause = Duration::from_secs_f64(phase.pause_s);
        std::thread::sleep((shared.pace.phase_start(index) - pause).saturating_duration_since(Instant::now()));
        Event::Phase { name: phase.name.clone() }.emit();
        if phase.measured && before.is_none() {
            before = Some(usage()?);
            Event::Measuring { phase: phase.name.clone() }.emit();
        }
        shared.pace.release(index);
    }
    let window = Window { before: before.context("the specification has no measured phase")?, after: usage()? };
    Event::Measured.emit();
    let last = origin
        + Duration::from_secs_f64(spec.planned_duration_s())
        + Duration::from_secs(u64::from(spec.drain_limit_s));
    while Instant::now() < last && !shared.drained() {
        std::thread::sleep(Duration::from_millis(5));
    }
    shared.pace.stop();
    Ok(window)
}

#[derive(Default)]
struct Collected {
    recorder: Recorder,
    sessions: BTreeMap<(u16, Arc<str>), (u64, u64)>,
}

fn collect(reports: &Receiver<Report>, users: u32, done: oneshot::Sender<()>) -> Collected {
    let mut collected = Collected::default();
    let mut finished = 0;
    while finished < users {
        match reports.recv() {
            Ok(Report::Samples(samples)) => samples.iter().for_each(|sample| collected.recorder.record(sample)),
            Ok(Report::Session(SessionNote { phase, served_by, first })) => {
                let (sessions, changes) = collected.sessions.entry((phase, served_by)).or_default();
                *if first { sessions } else { changes } += 1;
            }
            Ok(Report::Finished) => finished += 1,
            Err(_) => break,
        }
    }
    let _ = done.send(());
    collected
}

fn assemble(spec: &TrialSpec, shared: &Shared, collected: &Collected, window: &Window) -> TrialResult {
    let cells: Vec<ResultCell> =
        collected.recorder.cells().into_iter().map(|(key, cell)| result_cell(spec, key, cell)).collect();
    let phases: Vec<PhaseResult> =
        (0..spec.phases.len()).map(|index| phase_result(spec, shared, &collected.recorder, &cells, index)).collect();
    let sessions =
        collected.sessions.iter().map(|((phase, served_by), &(session_count, server_change_count))| SessionResult {
            phase: spec.phases[usize::from(*phase)].name.clone(),
            served_by: served_by.to_string(),
            session_count,
            server_change_count,
        });
    let window_s: f64 = spec.phases.iter().filter(|phase| phase.measured).map(|phase| phase.duration_s).sum();
    let mut result = TrialResult {
        version: RESULT_VERSION,
        spec: spec.clone(),
        window_us: (window_s * 1e6).round() as u64,
        sessions: sessions.collect(),
        warnings: Vec::new(),
        generator: generator(spec, &cells, window),
        phases,
        cells,
        tenths: collected.recorder.tenths().clone(),
    };
    result.warnings = super::result::warnings(&result);
    result
}

fn result_cell(spec: &TrialSpec, key: &CellKey, cell: &super::recorder::Cell) -> ResultCell {
    ResultCell {
        phase: spec.phases[usize::from(key.phase)].name.clone(),
        second: key.second,
        endpoint: spec.endpoint(usize::from(key.endpoint)).map(|endpoint| endpoint.name.clone()).unwrap_or_default(),
        served_by: key.served_by.to_string(),
        cache: key.cache,
        status: key.status,
        error: key.failure,
        count: cell.count,
        unexpected_count: cell.unexpected_count,
        body_bytes: cell.body_bytes,
        latency_us: cell.latency_us.clone(),
        service_us: cell.service_us.clone(),
        lag_us: cell.lag_us.clone(),
    }
}

fn phase_result(
    spec: &TrialSpec,
    shared: &Shared,
    recorder: &Recorder,
    cells: &[ResultCell],
    index: usize,
) -> PhaseResult {
    let phase = &spec.phases[index];
    let first_measured = spec.phases.iter().position(|phase| phase.measured).unwrap_or(0);
    let start_of = |index: usize| {
        let before: f64 = spec.phases[..index].iter().map(|phase| phase.pause_s + phase.duration_s).sum();
        before + spec.phases[index].pause_s
    };
    let of_phase = || cells.iter().filter(|cell| cell.phase == phase.name);
    let own = || of_phase().filter(|cell| !spec.is_session_start(&cell.endpoint));
    let starts = || of_phase().filter(|cell| spec.is_session_start(&cell.endpoint));
    let all_count: u64 = own().map(|cell| cell.count).sum();
    let failed_count: u64 = own().filter(|cell| cell.status == 0).map(|cell| cell.count).sum();
    let unexpected_count: u64 = own().map(|cell| cell.unexpected_count).sum();
    let (offered_count, sent_count) = (shared.pace.offered_count(index), shared.pace.sent_count(index));
    let completed = recorder.completed(index as u16);
    PhaseResult {
        name: phase.name.clone(),
        measured: phase.measured,
        start_s: start_of(index) - start_of(first_measured),
        duration_s: phase.duration_s,
        offered_count,
        sent_count,
        answered_count: all_count - failed_count,
        expected_count: all_count - unexpected_count,
        unexpected_count,
        failed_count,
        unsent_count: offered_count - sent_count,
        session_start_count: starts().map(|cell| cell.count).sum(),
        session_start_unexpected_count: starts().map(|cell| cell.unexpected_count).sum(),
        body_bytes: own().map(|cell| cell.body_bytes).sum(),
        offered_per_s: offered_count as f64 / phase.duration_s,
        achieved_per_s: completed.expected_in_phase_count as f64 / phase.duration_s,
        completed: recorder
            .completed_by_second(index as u16)
            .map(|(second, count)| SecondCount { second, count })
            .collect(),
    }
}

fn generator(spec: &TrialSpec, cells: &[ResultCell], window: &Window) -> Generator {
    let rated =
        |name: &str| spec.phases.iter().any(|phase| phase.measured && phase.rate_per_s.is_some() && phase.name == name);
    let mut lag_us = SparseHistogram::default();
    cells.iter().filter(|cell| rated(&cell.phase)).for_each(|cell| lag_us.merge(&cell.lag_us));
    let microseconds = |time: nix::sys::time::TimeVal| time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64;
    let used =
        |of: fn(&Usage) -> nix::sys::time::TimeVal| microseconds(of(&window.after)) - microseconds(of(&window.before));
    Generator {
        cpu_user_us: used(Usage::user_time),
        cpu_kernel_us: used(Usage::system_time),
        cpu_count: std::thread::available_parallelism().map_or(1, usize::from),
        peak_memory_bytes: peak_memory_bytes(&window.after),
        lag_p50_us: lag_us.quantile_us(0.5),
        lag_p99_us: lag_us.quantile_us(0.99),
        lag_max_us: lag_us.quantile_us(1.0),
    }
}

/// Linux counts in kilobytes, macOS in bytes.
fn peak_memory_bytes(usage: &Usage) -> u64 {
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    usage.max_rss() as u64 * unit
}
