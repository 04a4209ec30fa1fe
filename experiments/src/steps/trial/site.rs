//! A site that is asked in a trial: one arm with its own database, servers and readings. It knows how a site comes and goes, not what it
//! is asked nor when.

use std::{sync::Arc, time::Duration};

use ::app::db::Indexes;
use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;

use super::{
    super::{Bench, blog::Servers},
    Arm, Load, Target, account,
    resources::{Readings, Sampling, Sources},
};
use crate::{
    load::spec::{self, Endpoint, Method},
    probe::{app::Metrics, component::Component, hiccup::Meter, nginx},
    stack::AppServer,
};

/// One arm at work.
pub(super) struct Site {
    pub(super) arm: Arm,
    pub(super) readings: Readings,
    /// Whom the generator asks, with what it needs to be allowed to.
    pub(super) target: spec::Target,
    /// What it answers before it is put under load; see [`digest`].
    pub(super) body_digest: String,
    servers: Servers,
    pool: PgPool,
}

impl Site {
    /// Starts an arm on a copy of the seeded database as it was seeded; where it is only read, on that database itself. Sites that run side by
    /// side have different numbers, and one that counts the hiccups of the processor that they share. It has answered its first requests then.
    pub(super) async fn open(
        bench: &mut Bench<'_>,
        arm: &Arm,
        load: &Load,
        (number, sampling): (usize, Sampling),
        hiccups: Option<Arc<Meter>>,
    ) -> Result<Self> {
        let database = match load.only_reads() {
            true => bench.blog.seeded(Indexes::With).await?,
            false => bench.blog.trial_database(&format!("trial_{number}")).await?,
        };
        let servers = bench.blog.serve(&database, arm.setup, number).await?;
        let pool = bench.blog.pool(&database).await?;
        let metrics = servers.apps.iter().map(|app| Ok((app.name().to_owned(), Metrics::new(app.url() + "/metrics")?)));
        let components = bench.blog.components(&servers).into_iter();
        let sources = Sources {
            components: components.map(|(name, pid)| Component::new(name, pid)).collect(),
            pool: pool.clone(),
            redis_url: servers.redis_url.clone(),
            nginx: nginx::Status::new(servers.nginx.status_url())?,
            apps: metrics.collect::<Result<_>>()?,
            processor: bench.blog.placement.system_first(),
            hiccups,
        };
        let readings = Readings::new(sources, sampling)?;
        let base_url = match (load.target, servers.apps.first()) {
            (Target::FirstServer, Some(first)) => first.url(),
            _ => servers.nginx.url(),
        };
        let body_digest = digest(&load.mix, &base_url).await?;
        let headers = account::headers(&load.mix, &base_url).await?;
        let target = spec::Target { base_url, headers };
        Ok(Self { arm: arm.clone(), readings, target, body_digest, servers, pool })
    }

    /// The processes of its app servers.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.servers.apps.iter().map(AppServer::pid).collect()
    }

    /// Stops the servers. The balancer's configuration as it ran is kept for the report.
    pub(super) async fn close(self, bench: &mut Bench<'_>) -> Result<Readings> {
        bench.out.text(&format!("nginx_{}.conf", self.arm.name), &self.servers.nginx.configuration()?)?;
        self.pool.close().await;
        self.servers.stop().await?;
        Ok(self.readings)
    }
}

/// The bodies of those pages of the mix that need no draw, as one number. Arms that are compared must serve the same.
async fn digest(mix: &[Endpoint], base_url: &str) -> Result<String> {
    let client = crate::http::local().timeout(Duration::from_secs(10)).build()?;
    let mut bodies = Sha256::new();
    let plain = |endpoint: &&Endpoint| endpoint.method == Method::Get && !endpoint.path.contains(['{', '?']);
    let fixed = mix.iter().filter(plain).map(|endpoint| endpoint.path.clone());
    // The first post has comments of its own, so that its page shows the rest of what the database holds.
    for path in fixed.chain(["/posts/1".to_owned()]) {
        let url = format!("{base_url}{path}");
        let answer = client.get(&url).send().await.and_then(reqwest::Response::error_for_status);
        let body = answer.with_context(|| format!("cannot read `{url}`"))?.bytes().await?;
        bodies.update(&body);
    }
    let digest = bodies.finalize();
    Ok(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}
