//! A private PostgreSQL: a cluster of its own in the run folder, reached through a unix socket alone. Knows nothing of the
//! schema that goes into it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::folder::RunFolder;
use super::poll::wait_until;
use super::postgres_settings::PostgresSettings;
use super::process::{Launch, Process};

const INITDB_LIMIT: Duration = Duration::from_secs(60);
/// After a crash the write-ahead log is replayed before the server answers.
const START_LIMIT: Duration = Duration::from_secs(120);
/// The orderly end writes a checkpoint.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Backends of a dead server go by themselves, almost always at once.
const RESIDENTS_LIMIT: Duration = Duration::from_secs(10);
/// The number is only a part of the socket's name: nothing listens on the network.
const PORT: u16 = 5432;
const SUPERUSER: &str = "loadbook";
const MAINTENANCE_DATABASE: &str = "postgres";
const LONGEST_NAME_BYTES: usize = 63;

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    /// Dropped after the process.
    residents: Residents,
    sockets: PathBuf,
    settings: BTreeMap<String, String>,
}

impl Postgres {
    /// Starts it in the folder, where its data is kept between starts; the first start makes an empty cluster.
    pub async fn start(folder: &RunFolder, settings: &PostgresSettings) -> Result<Self> {
        let home = folder.service_folder("postgres")?;
        let data = home.join("data");
        if !data.is_dir() {
            initialise(folder, &home, &data).await?;
        }
        let residents = Residents { data: data.clone(), _folder: folder.clone() };
        // A runner that was killed a moment ago leaves a server that is still on its way out.
        residents.wait_for_end().await?;
        fs::write(data.join("postgresql.conf"), settings.configuration(folder.sockets()))?;
        let mut postgres = Self {
            process: Process::start(folder, launch(folder, &data))?,
            residents,
            sockets: folder.sockets().to_owned(),
            settings: BTreeMap::new(),
        };
        postgres.settings = postgres.wait_ready().await?;
        Ok(postgres)
    }

    /// Starts it again on its data, after its process has ended by whatever means.
    pub async fn start_again(&mut self, folder: &RunFolder) -> Result<()> {
        self.residents.wait_for_end().await?;
        self.process = Process::start(folder, launch(folder, &self.residents.data))?;
        self.settings = self.wait_ready().await?;
        Ok(())
    }

    async fn wait_ready(&self) -> Result<BTreeMap<String, String>> {
        let connect = async || self.connect(MAINTENANCE_DATABASE).await.map_err(|error| format!("{error:#}"));
        let mut connection = self.process.wait_ready(START_LIMIT, connect).await?;
        sqlx::query(include_str!("../../queries/stack_extension.sql"))
            .execute(&mut connection)
            .await
            .context("cannot create `pg_stat_statements`; install the package of PostgreSQL's contributed modules")?;
        let rows = sqlx::query_as(include_str!("../../queries/stack_settings.sql")).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(rows.into_iter().collect())
    }

    /// The address of a database, for sqlx and for `DATABASE_URL`.
    pub fn url(&self, database: &str) -> String {
        let host = percent_encoded(&self.sockets);
        format!("postgres://{SUPERUSER}@localhost/{database}?host={host}&port={PORT}")
    }

    /// The address of the database in which `pg_stat_statements` lies.
    pub fn maintenance_url(&self) -> String {
        self.url(MAINTENANCE_DATABASE)
    }

    /// One connection to a database.
    pub async fn connect(&self, database: &str) -> Result<PgConnection> {
        PgConnection::connect(&self.url(database))
            .await
            .with_context(|| format!("cannot connect to the database `{database}`"))
    }

    /// The process number of the server; its backends are children of it.
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

    /// The settings that are not PostgreSQL's defaults, as the server told them after its start, and its version.
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.settings
    }

    /// How it was built: compiler, its flags, the options of `configure`, as the server itself tells.
    pub async fn build(&self) -> Result<BTreeMap<String, String>> {
        let mut connection = self.connect(MAINTENANCE_DATABASE).await?;
        let rows = sqlx::query_as(include_str!("../../queries/stack_build.sql")).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(rows.into_iter().collect())
    }

    /// Makes a database: empty, or a copy of `template`, to which nobody may be connected then.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<()> {
        let mut statement = format!("CREATE DATABASE {}", quoted(name)?);
        if let Some(template) = template {
            // Files are copied between two checkpoints. The other way writes the whole copy to the write-ahead log, and
            // brings a checkpoint closer that then falls into the measurement.
            statement += &format!(" TEMPLATE {} STRATEGY file_copy", quoted(template)?);
        }
        self.execute(statement).await.with_context(|| format!("cannot create the database `{name}`"))
    }

    /// Removes a database and ends the connections to it.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let statement = format!("DROP DATABASE {} WITH (FORCE)", quoted(name)?);
        self.execute(statement).await.with_context(|| format!("cannot drop the database `{name}`"))
    }

    /// Whether there is a database of this name.
    pub async fn database_exists(&self, name: &str) -> Result<bool> {
        let mut connection = self.connect(MAINTENANCE_DATABASE).await?;
        let exists = sqlx::query_scalar(include_str!("../../queries/stack_database_exists.sql"))
            .bind(name)
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(exists)
    }

    /// Names of databases cannot be parameters of a statement, so this is the one place where a statement is put together. What
    /// goes into it comes from [`quoted`].
    async fn execute(&self, statement: String) -> Result<()> {
        let mut connection = self.connect(MAINTENANCE_DATABASE).await?;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// Ends it with a checkpoint, so that the next start on the same data is quick.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

/// Makes an empty cluster, aside and then renamed: an interrupted `initdb` leaves nothing that looks like a cluster.
async fn initialise(folder: &RunFolder, home: &Path, data: &Path) -> Result<()> {
    let unfinished = home.join("data.unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    let mut arguments: Vec<OsString> = vec!["--pgdata".into(), unfinished.clone().into()];
    let options = [
        "--username=loadbook",
        // The socket lies in a folder that only its owner can enter.
        "--auth=trust",
        "--encoding=UTF8",
        // The same order of text on every machine, and the cheapest.
        "--locale=C",
        // Nothing is lost if the machine crashes now.
        "--no-sync",
        "--no-instructions",
    ];
    arguments.extend(options.map(OsString::from));
    let launch = Launch {
        name: "initdb".to_owned(),
        program: folder.programs().postgres_bin.join("initdb"),
        arguments,
        environment: environment(),
        unprivileged: true,
        stop_signal: Signal::SIGTERM,
        abandon_signal: Signal::SIGTERM,
        stop_limit: STOP_LIMIT,
        processors: None,
        cpu_share: None,
    };
    Process::start(folder, launch)?.wait_end(INITDB_LIMIT).await?;
    fs::rename(&unfinished, data).with_context(|| format!("cannot create `{}`", data.display()))
}

fn environment() -> Vec<(String, OsString)> {
    [("LC_ALL", "C"), ("TZ", "UTC")].map(|(name, value)| (name.to_owned(), value.into())).into()
}

/// A name that needs no escaping, in quotes.
fn quoted(name: &str) -> Result<String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || name.len() > LONGEST_NAME_BYTES || !name.bytes().all(plain) {
        bail!(
            "`{name}` cannot be the name of a database; use small letters, digits and `_`, at most {LONGEST_NAME_BYTES}"
        );
    }
    Ok(format!("\"{name}\""))
}

/// A path as a part of an address.
fn percent_encoded(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|&byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// The processes that live in a data folder. PostgreSQL's backends leave the process group of their server; when the server is
/// killed they follow as soon as they look up from their work, and a long query can keep them from that.
#[derive(Debug)]
struct Residents {
    data: PathBuf,
    /// The folder is removed with its last holder, and must not be before we have looked into it.
    _folder: RunFolder,
}

impl Residents {
    async fn wait_for_end(&self) -> Result<()> {
        wait_until("the end of an earlier PostgreSQL", RESIDENTS_LIMIT, async || match self.pids().len() {
            0 => Ok(()),
            count => Err(format!("{count} of its processes are left")),
        })
        .await?;
        Ok(())
    }

    /// Linux tells every process's working directory, which for PostgreSQL is the data folder. The name keeps a shell in
    /// that folder apart. Elsewhere nothing is found, and the backends go by themselves.
    fn pids(&self) -> Vec<Pid> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let lives_here = fs::read_link(entry.path().join("cwd")).ok()? == self.data;
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            (lives_here && name.trim() == "postgres").then_some(Pid::from_raw(pid))
        });
        pids.collect()
    }
}

/// How the server is started on its data.
fn launch(folder: &RunFolder, data: &Path) -> Launch {
    Launch {
        name: "postgres".to_owned(),
        program: folder.programs().postgres_bin.join("postgres"),
        arguments: vec!["-D".into(), data.into()],
        environment: environment(),
        unprivileged: true,
        // "Fast": sessions are ended, and a checkpoint makes the next start quick.
        stop_signal: Signal::SIGINT,
        // "Immediate": no checkpoint; the log is replayed at the next start.
        abandon_signal: Signal::SIGQUIT,
        stop_limit: STOP_LIMIT,
        processors: None,
        cpu_share: None,
    }
}

impl Drop for Residents {
    fn drop(&mut self) {
        let deadline = Instant::now() + RESIDENTS_LIMIT;
        loop {
            let pids = self.pids();
            if pids.is_empty() || Instant::now() >= deadline {
                return;
            }
            for pid in pids {
                let _ = kill(pid, Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_databases_are_checked() {
        assert_eq!(quoted("loadbook_1").unwrap(), "\"loadbook_1\"");
        for name in ["", "a\"b", "Capital", "a b", &"a".repeat(64)] {
            assert!(quoted(name).unwrap_err().to_string().contains("cannot be the name of a database"));
        }
    }

    #[test]
    fn a_path_fits_into_an_address() {
        assert_eq!(percent_encoded(Path::new("/tmp/a b&c=d%")), "/tmp/a%20b%26c%3Dd%25");
    }
}
