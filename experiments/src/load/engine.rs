//! Runs goose for one trial, inside the trial's own process. Of goose it uses the users, their scheduling and their HTTP client;
//! of its times, logs and reports nothing. It refuses to know where the result goes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;
use goose::prelude::{GooseAttack, Scenario, Transaction, TransactionFunction};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{Barrier, oneshot};

use super::pace::Pace;
use super::recorder::FailureKind;
use super::request::Mix;
use super::schedule;
use super::spec::{Cookies, Endpoint, Target, TrialSpec};
use super::worker::{self, Report};

/// Time between the start of the clock and the first request, for the threads to fall asleep.
const LEAD: Duration = Duration::from_millis(5);

/// A server that refuses has this long to change its mind.
const REFUSAL_LIMIT: Duration = Duration::from_secs(2);

/// A server that says nothing at all has this long to answer its first request.
const SILENCE_LIMIT: Duration = Duration::from_secs(8);

/// What all users of a trial share.
pub struct Shared {
    /// The clock.
    pub pace: Pace,
    /// What to ask for.
    pub mix: Mix,
    /// The endpoints of the mix, then the start of a session.
    pub endpoints: Vec<Endpoint>,
    /// Whom to ask, by the place of the phase.
    pub sites: Vec<Arc<Site>>,
    /// The number that the draws of each phase come from.
    pub draws: Vec<u64>,
    /// The client: one pool of connections for all users.
    pub client: reqwest::Client,
    /// Whether users keep cookies.
    pub cookies: Cookies,
    /// When they forget them.
    pub requests_per_session: Option<u32>,
    /// Where users report.
    pub reports: Sender<Report>,
    /// How long the lead of each phase is.
    leads: Vec<Duration>,
    first_measured_phase: usize,
    arrived: Barrier,
    answered: AtomicBool,
    /// Requests without an answer: those that found nobody, and those that broke off.
    unreached_count: AtomicU64,
    broken_count: AtomicU64,
    user_count: u64,
    idle_count: AtomicU64,
}

/// A target, ready to be asked.
pub struct Site {
    /// Address, without a slash at its end.
    pub base_url: String,
    /// The headers of each endpoint.
    pub headers: Vec<HeaderMap>,
}

impl Site {
    fn new(target: &Target, endpoints: &[Endpoint]) -> Result<Self> {
        Ok(Self {
            base_url: target.base_url.trim_end_matches('/').to_owned(),
            headers: endpoints.iter().map(|endpoint| headers(target, endpoint)).collect::<Result<_>>()?,
        })
    }
}

impl Shared {
    /// Prepares a trial, and gives the end where its users' reports come out.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(spec: &TrialSpec) -> Result<(Arc<Self>, Receiver<Report>)> {
        let (reports, received) = mpsc::channel();
        let endpoints: Vec<Endpoint> = spec.mix.iter().chain(&spec.session_start).cloned().collect();
        let sites = spec.targets.iter().map(|target| Ok(Arc::new(Site::new(target, &endpoints)?)));
        let sites: Vec<Arc<Site>> = sites.collect::<Result<_>>()?;
        let shared = Self {
            pace: Pace::new(schedule::plan(spec), spec.worker),
            mix: Mix::new(spec),
            endpoints,
            sites: spec.phases.iter().map(|phase| Arc::clone(&sites[phase.target])).collect(),
            draws: (0..spec.phases.len()).map(|phase| spec.draws(phase)).collect(),
            client: client(spec)?,
            cookies: spec.cookies,
            requests_per_session: spec.requests_per_session,
            reports,
            leads: spec.phases.iter().map(|phase| Duration::from_secs_f64(phase.lead_s)).collect(),
            first_measured_phase: spec.phases.iter().position(|phase| phase.measured).unwrap_or(0),
            arrived: Barrier::new(spec.users as usize),
            answered: AtomicBool::new(false),
            unreached_count: AtomicU64::new(0),
            broken_count: AtomicU64::new(0),
            user_count: u64::from(spec.users),
            idle_count: AtomicU64::new(0),
        };
        Ok((Arc::new(shared), received))
    }

    /// Waits until all users are there; the clock starts then.
    pub async fn arrive(&self) {
        if self.arrived.wait().await.is_leader() {
            self.pace.start(Instant::now() + LEAD);
        }
        self.arrived.wait().await;
    }

    /// Seconds from the start of the measured window, rounded down.
    #[must_use]
    pub fn second_of(&self, instant: Instant) -> i32 {
        let window_start = self.pace.phase_start(self.first_measured_phase);
        match instant.checked_duration_since(window_start) {
            Some(after) => after.as_secs() as i32,
            None => -((window_start - instant).as_secs_f64().ceil() as i32),
        }
    }

    /// Tenths of a second from the start of the trial, rounded down.
    #[must_use]
    pub fn tenth_of(&self, instant: Instant) -> u32 {
        (instant.saturating_duration_since(self.pace.phase_start(0)).as_millis() / 100) as u32
    }

    /// From when on the requests of a phase are timed.
    #[must_use]
    pub fn timed_from(&self, phase: usize) -> Instant {
        self.pace.phase_start(phase) + self.leads[phase]
    }

    /// Remembers whether the server answers at all.
    pub fn note_answer(&self, failure: Option<FailureKind>) {
        let count = match failure {
            Some(FailureKind::Connect | FailureKind::NoPort) => &self.unreached_count,
            Some(FailureKind::Timeout | FailureKind::Body | FailureKind::Request) => &self.broken_count,
            None => {
                if !self.answered.load(Ordering::Relaxed) {
                    self.answered.store(true, Ordering::Relaxed);
                }
                return;
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether every user has nothing left to send.
    #[must_use]
    pub fn drained(&self) -> bool {
        self.idle_count.load(Ordering::Relaxed) >= self.user_count
    }

    /// One more user has nothing left to send.
    pub fn retire(&self) {
        self.idle_count.fetch_add(1, Ordering::Relaxed);
    }

    /// An error if requests were sent and none was answered.
    ///
    /// # Errors
    /// As said.
    pub fn require_answer(&self, within: Duration) -> Result<()> {
        let [unreached_count, broken_count] =
            [&self.unreached_count, &self.broken_count].map(|count| count.load(Ordering::Relaxed));
        if self.answered.load(Ordering::Relaxed) || unreached_count + broken_count == 0 {
            return Ok(());
        }
        let url = self.first_url();
        ensure!(
            broken_count > 0,
            "nothing answered at `{url}` within {within:.1?}: {unreached_count} requests failed; is the server running?"
        );
        bail!(
            "`{url}` takes connections, but no answer was complete within {within:.1?}: {broken_count} requests broke off and \
             {unreached_count} found nobody; look into the log of the server, and whether it speaks HTTP"
        )
    }

    /// The address that is asked first, for messages.
    fn first_url(&self) -> &str {
        self.sites.first().map_or("", |site| &site.base_url)
    }
}

/// So long may the recorder take for the samples that are under way when the users have finished.
const RECORDER_LIMIT: Duration = Duration::from_secs(10);

/// Runs all users; returns when the schedule is exhausted, and fails when the server does not answer or when told to stop.
///
/// # Errors
/// As said, or when goose refuses its configuration.
pub async fn run(
    spec: &TrialSpec,
    shared: Arc<Shared>,
    mut finished: oneshot::Receiver<()>,
    interrupted: oneshot::Receiver<&'static str>,
) -> Result<()> {
    let attack = attack(spec, Arc::clone(&shared))?;
    tokio::select! {
        // Polled in this order: an attack that ended by itself is no error if all users have finished.
        biased;
        _ = &mut finished => Ok(()),
        Ok(reason) = interrupted => Err(anyhow!("the trial was interrupted ({reason})")),
        error = watch(&shared) => Err(error),
        ended = attack.execute() => {
            ended.context("goose could not run the trial")?;
            // The last samples may still be on their way to the recorder, which says when it has them all.
            match tokio::time::timeout(RECORDER_LIMIT, finished).await {
                Ok(Ok(())) => Ok(()),
                _ => Err(anyhow!("goose ended before its users did")),
            }
        }
    }
}

async fn watch(shared: &Shared) -> anyhow::Error {
    let before = shared.pace_start().await;
    for limit in [REFUSAL_LIMIT, SILENCE_LIMIT] {
        tokio::time::sleep_until((before + limit).into()).await;
        if let Err(error) = shared.require_answer(limit) {
            return error;
        }
    }
    if !shared.answered.load(Ordering::Relaxed)
        && (0..shared.pace.phase_count()).any(|phase| shared.pace.sent_count(phase) > 0)
    {
        return anyhow!(
            "`{}` accepted requests but answered none within {SILENCE_LIMIT:.0?}; does the server hang?",
            shared.first_url()
        );
    }
    std::future::pending().await
}

impl Shared {
    async fn pace_start(&self) -> Instant {
        loop {
            if let Some(origin) = self.pace.started() {
                return origin;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn attack(spec: &TrialSpec, shared: Arc<Shared>) -> Result<GooseAttack> {
    let function: TransactionFunction = Arc::new(move |user| {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            worker::work(user, &shared).await;
            Ok(())
        })
    });
    let scenario = Scenario::new("trial").register_transaction(Transaction::new(function));
    // Goose would make one client for each user and load the certificates each time; ours replaces it anyway.
    let plain = GooseClientBuilder::new().without_cookies();
    let attack = GooseAttack::initialize_with_config(configuration(spec))
        .and_then(|attack| attack.set_client_builder_without_cookies(plain));
    Ok(attack.context("goose refused its configuration")?.register_scenario(scenario))
}

fn configuration(spec: &TrialSpec) -> GooseConfiguration {
    let mut configuration = GooseConfiguration::default();
    // Every request carries its whole address; goose only wants to have one.
    configuration.host = spec.targets.first().map(|target| target.base_url.clone());
    configuration.users = Some(spec.users as usize);
    // All users within a tenth of a second; the default is one a second.
    configuration.increase_rate = Some((spec.users * 10).to_string());
    // A user's one iteration lasts for the whole trial, which ends by our clock.
    configuration.iterations = Some(1);
    configuration.timeout = Some(spec.timeout_s.to_string());
    configuration.no_gzip = true;
    configuration.no_telnet = true;
    configuration.no_websocket = true;
    configuration.no_metrics = true;
    configuration.no_print_metrics = true;
    configuration.no_error_summary = true;
    configuration.quiet = 2;
    configuration
}

fn headers(target: &Target, endpoint: &Endpoint) -> Result<HeaderMap> {
    let headers = endpoint
        .headers
        .iter()
        .chain(target.headers.get(&endpoint.name).into_iter().flatten())
        .map(|(name, value)| Ok((HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?)));
    headers.collect::<Result<_>>().with_context(|| format!("the headers of `{}` cannot be sent", endpoint.name))
}

fn client(spec: &TrialSpec) -> Result<reqwest::Client> {
    let builder = crate::http::local()
        .no_gzip()
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .http1_only()
        .pool_max_idle_per_host(spec.users as usize)
        .timeout(Duration::from_secs(u64::from(spec.timeout_s)))
        .user_agent("loadbook");
    builder.build().context("could not make the HTTP client")
}
