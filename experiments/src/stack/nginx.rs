//! A private NGINX as the balancer in front of app servers, made from the template that Docker uses too. Knows of the app
//! servers only their addresses.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::folder::RunFolder;
use super::port::{ATTEMPTS, PortInUse, check_free, free_address};
use super::process::{Launch, Process};
use super::template::render;

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// What NGINX says when another program was faster.
const PORT_TAKEN: &str = "Address already in use";
/// How requests are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balancing {
    /// In turn.
    RoundRobin,
    /// A client who has logged in stays with the server that did it: the app's cookie `srv` names the server.
    Sticky,
}

/// How NGINX is started.
#[derive(Debug, Clone)]
pub struct NginxOptions {
    /// The name of its folder, of its log and in messages; two in one run need two.
    pub name: String,
    /// `nginx/nginx.conf.template`.
    pub template: PathBuf,
    /// Where the site listens; port 0 means any free one.
    pub listen: SocketAddr,
    /// Addresses of the app servers: two, with the routes `a` and `b` in this order, or one that fills both places.
    pub upstreams: Vec<SocketAddr>,
    /// How requests are spread.
    pub balancing: Balancing,
    /// Worker processes.
    pub workers: u32,
    /// Whether each request is logged; see [`Nginx::log_path`].
    pub access_log: bool,
}

impl NginxOptions {
    /// Round-robin on a free loopback port with one worker and without an access log.
    pub fn new(template: PathBuf, upstreams: Vec<SocketAddr>) -> Self {
        Self {
            name: "nginx".to_owned(),
            template,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            upstreams,
            balancing: Balancing::RoundRobin,
            workers: 1,
            access_log: false,
        }
    }

    /// The configuration for given addresses.
    fn configuration(&self, home: &Path, listen: SocketAddr, status: SocketAddr) -> Result<String> {
        let template =
            fs::read_to_string(&self.template).with_context(|| format!("cannot read `{}`", self.template.display()))?;
        let (a, b) = match self.upstreams.as_slice() {
            [address] => (address, address),
            [a, b] => (a, b),
            others => bail!("the balancer has places for one or two app servers, not for {}", others.len()),
        };
        let access_log = if self.access_log {
            format!("\"{}\" requests buffer=64k flush=1s", access_log_path(home).display())
        } else {
            "off".to_owned()
        };
        let balancing = match self.balancing {
            Balancing::RoundRobin => "round_robin",
            Balancing::Sticky => "sticky",
        };
        let values = BTreeMap::from([
            ("NGINX_WORKERS", self.workers.to_string()),
            ("NGINX_FOLDER", home.display().to_string()),
            ("NGINX_ACCESS_LOG", access_log),
            ("NGINX_LISTEN", listen.to_string()),
            ("NGINX_STATUS_LISTEN", status.to_string()),
            ("NGINX_BALANCING", balancing.to_owned()),
            ("NGINX_SERVER_A", a.to_string()),
            ("NGINX_SERVER_B", b.to_string()),
        ]);
        render(&template, &values).with_context(|| format!("cannot fill in `{}`", self.template.display()))
    }
}

/// A running NGINX.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    home: PathBuf,
    address: SocketAddr,
    status: SocketAddr,
}

impl Nginx {
    /// Fills in the template and starts NGINX with it.
    ///
    /// # Errors
    /// [`PortInUse`] if the port in the options is taken.
    pub async fn start(folder: &RunFolder, options: &NginxOptions) -> Result<Self> {
        let home = folder.service_folder(&options.name)?;
        let chosen = options.listen.port() != 0;
        if chosen {
            check_free(options.listen)?;
        }
        let mut attempt = 1;
        loop {
            let address = if chosen { options.listen } else { free_address()? };
            let nginx = Self::launch(folder, options, &home, [address, free_address()?])?;
            let Err(error) = nginx.wait_ready().await else {
                return Ok(nginx);
            };
            let log = nginx.process.log_text();
            if !log.contains(PORT_TAKEN) {
                return Err(error);
            }
            if chosen && log.contains(&format!("{address} failed")) {
                return Err(PortInUse { port: address.port() }.into());
            }
            if attempt == ATTEMPTS {
                return Err(error);
            }
            attempt += 1;
        }
    }

    fn launch(
        folder: &RunFolder,
        options: &NginxOptions,
        home: &Path,
        [address, status]: [SocketAddr; 2],
    ) -> Result<Self> {
        let configuration = home.join(CONFIGURATION);
        fs::write(&configuration, options.configuration(home, address, status)?)?;
        let launch = Launch {
            name: options.name.clone(),
            program: folder.programs().nginx.clone(),
            arguments: vec![
                "-p".into(),
                home.into(),
                "-c".into(),
                configuration.into(),
                // Until the configuration is read, errors go to a file of the system's NGINX.
                "-e".into(),
                "stderr".into(),
                "-g".into(),
                "daemon off;".into(),
            ],
            environment: Vec::new(),
            unprivileged: true,
            // Requests in work are finished and the buffered access log is written; the template sets the limit.
            stop_signal: Signal::SIGQUIT,
            // The master takes its workers with it.
            abandon_signal: Signal::SIGTERM,
            stop_limit: STOP_LIMIT,
            processors: None,
            cpu_share: None,
        };
        Ok(Self { process: Process::start(folder, launch)?, home: home.to_owned(), address, status })
    }

    /// The counters answer, so the configuration is read and both listeners are open.
    async fn wait_ready(&self) -> Result<()> {
        let url = self.status_url();
        let client = crate::http::local().build()?;
        let ask = async || match client.get(&url).send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("`{url}` answers {}", response.status())),
            Err(error) => Err(format!("{:#}", anyhow::Error::new(error))),
        };
        self.process.wait_ready(START_LIMIT, ask).await
    }

    /// The site's address as the start of a URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the site listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page with NGINX's own counters (`stub_status`).
    pub fn status_url(&self) -> String {
        format!("http://{}/status", self.status)
    }

    /// The access log: one JSON object per line, complete after [`Nginx::stop`] and at most a second late before.
    pub fn log_path(&self) -> PathBuf {
        access_log_path(&self.home)
    }

    /// The configuration as it was filled in. Its own folder has the name that it has in the template: whoever gets a report to read need
    /// not learn where on a disk it was measured.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn configuration(&self) -> Result<String> {
        let path = self.home.join(CONFIGURATION);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(text.replace(&self.home.display().to_string(), "${NGINX_FOLDER}"))
    }

    /// The process number of the master; the workers are children of it.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it is still there.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// The supervised process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Lets it finish its requests, write its log, and end.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

/// The file in its folder.
const CONFIGURATION: &str = "nginx.conf";

fn access_log_path(home: &Path) -> PathBuf {
    home.join("access.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(balancing: Balancing, access_log: bool) -> String {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nginx/nginx.conf.template");
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let upstreams = vec![address(8081), address(8082)];
        let options = NginxOptions { balancing, access_log, ..NginxOptions::new(template, upstreams) };
        options.configuration(Path::new("/run/nginx"), address(8080), address(8090)).unwrap()
    }

    #[test]
    fn round_robin() {
        insta::assert_snapshot!(configuration(Balancing::RoundRobin, false));
    }

    #[test]
    fn sticky_with_access_log() {
        insta::assert_snapshot!(configuration(Balancing::Sticky, true));
    }

    #[test]
    fn three_servers_are_refused() {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nginx/nginx.conf.template");
        let options = NginxOptions::new(template, vec![server; 3]);
        let error = options.configuration(Path::new("/run"), options.listen, options.listen).unwrap_err();
        assert_eq!(error.to_string(), "the balancer has places for one or two app servers, not for 3");
    }
}
