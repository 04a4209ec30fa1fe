//! The command line: `app serve`, `app migrate`, `app seed`, `app demo`. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use app::config::{Config, ConfigError};
use app::db::Indexes;
use app::seed::Size;
use app::{config, db, demo, seed, server, telemetry};
use clap::{Args, Parser, Subcommand};

/// A small blog on PostgreSQL and Redis. Configured by the environment: see app/README.md for the variables.
#[derive(Parser)]
#[command(name = "app", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT, then finish what is under way
    Serve,
    /// Bring the database to the current schema
    Migrate {
        /// Leave out the indexes that only make reading faster
        #[arg(long)]
        without_indexes: bool,
    },
    /// Fill an empty database, the same for the same numbers and seed
    Seed(SeedArguments),
    /// Add posts that a visitor may want to read, and in development mode an account to log in to
    Demo,
}

#[derive(Args)]
struct SeedArguments {
    /// How many posts
    #[arg(long, default_value_t = 10_000)]
    posts: u32,
    /// How many comments
    #[arg(long, default_value_t = 100_000)]
    comments: u32,
    /// How many users
    #[arg(long, default_value_t = 2_000)]
    users: u32,
    /// How many tags
    #[arg(long, default_value_t = 200)]
    tags: u32,
    /// Where the random numbers start
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve => serve(),
        Command::Migrate { without_indexes } => migrate(without_indexes),
        Command::Seed(arguments) => fill(&arguments),
        Command::Demo => show(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<ConfigError>() { 2 } else { 1 })
        }
    }
}

fn serve() -> anyhow::Result<()> {
    let config = Config::from_environment()?;
    telemetry::start(&config.log_filter)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(config.worker_threads).enable_all().build()?;
    runtime.block_on(async {
        let stop = server::stop_signal()?;
        let server = server::Server::bind(config).await?;
        println!("listening on http://{}", server.address());
        server.run(stop).await
    })
}

fn migrate(without_indexes: bool) -> anyhow::Result<()> {
    let indexes = if without_indexes { Indexes::Without } else { Indexes::With };
    let database_url = config::database_url_from_environment()?;
    maintenance(async {
        let pool = db::connect_for_maintenance(&database_url).await?;
        db::migrate(&pool, indexes).await
    })
}

fn fill(arguments: &SeedArguments) -> anyhow::Result<()> {
    let size =
        Size { users: arguments.users, posts: arguments.posts, comments: arguments.comments, tags: arguments.tags };
    let database_url = config::database_url_from_environment()?;
    maintenance(async {
        let started = Instant::now();
        let pool = db::connect_for_maintenance(&database_url).await?;
        seed::seed(&pool, &size, arguments.seed).await?;
        println!("{} posts and {} comments in {:.1} s", size.posts, size.comments, started.elapsed().as_secs_f64());
        Ok(())
    })
}

fn show() -> anyhow::Result<()> {
    // The whole configuration of a server, because the account must be one that the servers can read.
    let config = Config::from_environment()?;
    maintenance(async {
        let pool = db::connect_for_maintenance(&config.database_url).await?;
        let added = demo::fill(&pool).await?;
        println!("{} posts and {} comments were added", added.posts, added.comments);
        if demo::add_login(&pool, &config).await? {
            println!("log in as `{}` with the password `{}`", demo::LOGIN, demo::PASSWORD);
        }
        Ok(())
    })
}

fn maintenance(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?.block_on(work)
}
