//! Two generators against one server: the highest rate that this bench's own finds in a closed loop, beside that of `wrk`, on the same page
//! with as many connections. A generator costs processor time, and by no more than that may the two differ.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

use super::{
    super::Project,
    asking::{page, run, spec, tool},
    reference::ACCEPT_ENCODING,
    site::{Local, Site},
};
use crate::load::spec::Phase;

const CONNECTIONS: u32 = 32;
const WARM_UP_S: f64 = 0.5;

/// What one generator found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peak {
    /// Answers per second.
    pub(super) per_s: f64,
    /// Processor time that the generator itself used for each of them.
    pub(super) generator_us: f64,
}

/// `wrk`, where the machine has it.
pub(super) fn wrk(project: &Project) -> Option<PathBuf> {
    setup::Search::for_project(&project.root).optional("wrk")
}

/// Asks for the page that comes from Redis, first with our generator, then with `wrk`: it costs the server enough to be the slower side.
pub(super) async fn block(site: &Site, wrk: &Path, seconds: f64) -> Result<(Peak, Peak)> {
    Ok((ours(site, seconds).await?, theirs(site, wrk, seconds).await?))
}

async fn ours(site: &Site, seconds: f64) -> Result<Peak> {
    let server = site.cached(Local::Off)?;
    let phases = [("warm_up", WARM_UP_S, false), ("closed", seconds, true)]
        .map(|(name, duration_s, measured)| Phase { measured, ..Phase::new(name, duration_s, None) });
    let spec = spec(&site.blog, &[server.address()], 1, CONNECTIONS, phases.into(), vec![page("list", "/")]);
    let result = run(&site.blog, &spec, server.pid(), &mut Vec::new()).await?;
    let phase = result.measured_phases().next().context("nothing was measured")?;
    ensure!(phase.unexpected_count == 0, "{} requests of the closed loop failed", phase.unexpected_count);
    let used_us = (result.generator.cpu_user_us + result.generator.cpu_kernel_us) as f64;
    Ok(Peak { per_s: phase.achieved_per_s, generator_us: used_us / phase.expected_count.max(1) as f64 })
}

async fn theirs(site: &Site, wrk: &Path, seconds: f64) -> Result<Peak> {
    let (name, value) = ACCEPT_ENCODING;
    let seconds = seconds.ceil().max(1.0);
    let arguments = [
        "--threads=1".to_owned(),
        format!("--connections={CONNECTIONS}"),
        format!("--duration={seconds}s"),
        format!("--header={name}: {value}"),
        format!("http://{}/", site.cached(Local::Off)?.address()),
    ];
    let before_us = children_us()?;
    let process = tool(&site.blog, "wrk", wrk.to_owned(), arguments.into(), seconds).await?;
    let (per_s, answers) = said(&process.log_text())
        .with_context(|| format!("`wrk` does not say how many answers it got; it said:\n{}", process.log_tail()))?;
    drop(process);
    Ok(Peak { per_s, generator_us: (children_us()? - before_us) / answers.max(1.0) })
}

/// Processor time of the children that have ended so far.
fn children_us() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot read what the children used")?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64)
}

/// Answers per second and answers, in the words of `wrk`; nothing where some of them were errors.
fn said(text: &str) -> Option<(f64, f64)> {
    let number = |text: &str| text.trim().split(char::is_whitespace).next()?.parse::<f64>().ok();
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return None;
    }
    let per_s = number(text.split_once("Requests/sec:")?.1)?;
    let answers = text.lines().find(|line| line.contains(" requests in "))?;
    Some((per_s, number(answers)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 2s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\n  Thread Stats   Avg      Stdev\n    \
                        Latency     2.53ms  301.20us\n  25180 requests in 2.00s, 120.41MB read\nRequests/sec:  12583.87\n\
                        Transfer/sec:     60.18MB\n";

    #[test]
    fn rates_are_read_from_what_wrk_says() {
        assert_eq!(said(SAID), Some((12_583.87, 25_180.0)));
        assert_eq!(said(&SAID.replace("Requests/sec", "  Non-2xx or 3xx responses: 3\nRequests/sec")), None);
        assert_eq!(said("unable to connect to 127.0.0.1:1 Connection refused"), None);
    }
}
