//! How the servers of the bench are asked: what a request looks like, what a trial of them is, and what a process used meanwhile. It
//! knows nothing of what is compared.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Result;
use nix::sys::signal::Signal;

use super::reference::ACCEPT_ENCODING;
use crate::{
    load::{
        event::Event,
        result::TrialResult,
        spec::{Arrivals, Cookies, Endpoint, Expect, Method, Phase, SPEC_VERSION, Target, TrialSpec, WorkerPart},
    },
    probe::{
        component::{Component, Snapshot, Usage},
        source::{self, Detail},
    },
    stack::{Launch, Process},
    steps::Blog,
};

/// A page of the site, as a browser asks for it.
pub(super) fn page(name: &str, path: &str) -> Endpoint {
    let (header, value) = ACCEPT_ENCODING;
    Endpoint {
        name: name.to_owned(),
        weight: 1,
        method: Method::Get,
        path: path.to_owned(),
        ids: None,
        form: BTreeMap::new(),
        headers: [(header.to_owned(), value.to_owned())].into(),
        expect: Expect::default(),
    }
}

/// A trial of servers without a balancer; a phase names its server by its place.
pub(super) fn spec(
    blog: &Blog,
    servers: &[SocketAddr],
    seed: u64,
    users: u32,
    phases: Vec<Phase>,
    mix: Vec<Endpoint>,
) -> TrialSpec {
    TrialSpec {
        version: SPEC_VERSION,
        targets: servers.iter().map(|server| Target::new(format!("http://{server}"))).collect(),
        seed,
        users,
        worker: WorkerPart::default(),
        arrivals: Arrivals::Poisson,
        cookies: Cookies::None,
        requests_per_session: None,
        timeout_s: 10,
        drain_limit_s: 20,
        cpu_list: blog.placement.generator().to_vec(),
        phases,
        mix,
        session_start: None,
        output: blog.folder.path().join("bench.json"),
    }
}

/// Runs a trial, and reads what the processes of `pid` used in each of its measured phases.
pub(super) async fn run(blog: &Blog, spec: &TrialSpec, pid: u32, cpu_us: &mut Vec<u64>) -> Result<TrialResult> {
    let components = [Component::new("server", pid)];
    let mut reader = source::open()?;
    let mut edges = Vec::new();
    let mut trouble = None;
    let measured = |name: &str| spec.phases.iter().any(|phase| phase.measured && phase.name == name);
    let outcome = blog
        .runner()
        .run(spec, async |event| {
            let is_edge = match &event {
                Event::Phase { name } => measured(name),
                Event::Measured => true,
                Event::Measuring { .. } => false,
            };
            if is_edge {
                match Snapshot::read(reader.as_mut(), &components, Detail::Cpu) {
                    Ok(snapshot) => edges.push(snapshot),
                    Err(error) => trouble = trouble.take().or(Some(error)),
                }
            }
        })
        .await?;
    if let Some(error) = trouble {
        return Err(error);
    }
    let used =
        |pair: &[Snapshot]| Snapshot::difference(&pair[0], &pair[1]).components.values().map(Usage::cpu_us).sum();
    *cpu_us = edges.windows(2).map(used).collect();
    Ok(outcome.result)
}

/// Runs somebody else's generator to its end, on our generator's processors. What it said is in the log of what is given back.
pub(super) async fn tool(
    blog: &Blog,
    name: &str,
    program: PathBuf,
    arguments: Vec<String>,
    seconds: f64,
) -> Result<Process> {
    let process = Process::start(
        &blog.folder,
        Launch {
            name: name.to_owned(),
            program,
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: vec![("LC_ALL".to_owned(), "C".into())],
            // It only needs a socket, which whoever runs this may use.
            unprivileged: false,
            stop_signal: Signal::SIGTERM,
            abandon_signal: Signal::SIGKILL,
            stop_limit: Duration::from_secs(5),
            processors: Some(blog.placement.generator().to_vec()),
            cpu_share: None,
        },
    )?;
    process.wait_end(Duration::from_secs_f64(seconds + 30.0)).await?;
    Ok(process)
}
