//! The environment of a measurement: machine, programs, how they were built, settings, code. Everything is asked of the thing itself,
//! nothing is assumed, and what cannot be found out says why: a fact that is missing must not cost a finished measurement.

mod code;
mod directives;

use std::{collections::BTreeMap, fmt::Display, path::Path, process::Command, sync::OnceLock};

use anyhow::Result;

use super::{Project, programs};
use crate::{
    probe::machine::{self, Fact},
    results::{Environment, UNKNOWN},
    steps::{Blog, Programs},
};

pub(super) use code::commit;

type Texts = BTreeMap<String, String>;

/// Reads the environment of a finished measurement, while its stores still run.
pub(super) async fn read(
    project: &Project,
    blog: &Blog,
    programs: &Programs,
    step_settings: Texts,
) -> Result<Environment> {
    let postgres = blog.stack.postgres.settings();
    let redis = blog.stack.redis.settings();
    let mut settings: Texts = step_settings;
    settings.extend(under("postgresql", postgres.clone()));
    settings.extend(under("redis", redis.clone()));
    settings.extend(under("nginx", directives::read(&programs.nginx_template)));
    settings.insert("placement".to_owned(), serde_json::to_string(&blog.placement)?);
    let machine = machine(&project.runs());
    Ok(Environment {
        machine,
        programs: versions(project, programs, postgres, redis),
        builds: builds(blog, programs).await,
        settings,
        code: code::read(&project.root),
    })
}

/// A fact, or why there is none.
fn text(fact: Fact) -> String {
    fact.unwrap_or_else(|why| format!("{UNKNOWN}{why}"))
}

/// The machine, as it is now; the folder `runs` is where databases would be.
pub(super) fn machine(runs: &Path) -> Texts {
    machine::read(runs).into_iter().map(|(name, fact)| (name.to_owned(), text(fact))).collect()
}

fn why(error: impl Display) -> String {
    format!("{error:#}")
}

fn under(name: &str, facts: Texts) -> Texts {
    facts.into_iter().map(|(fact, value)| (format!("{name}.{fact}"), value)).collect()
}

fn versions(project: &Project, programs: &Programs, postgres: &Texts, redis: &Texts) -> Texts {
    let told = |settings: &Texts, keys: &[&str]| {
        let found = keys.iter().find_map(|key| settings.get(*key).cloned());
        text(found.ok_or("the server does not tell".to_owned()))
    };
    // The app is a large file, and the same one for every step of a run.
    static COMPILER: OnceLock<Fact> = OnceLock::new();
    let compiler = COMPILER.get_or_init(|| code::compiler(&programs.app)).clone();
    let nginx = printed(&programs.stack.nginx, &["-v"]).map(|text| last_word(&text));
    let typst = programs::typst(project).and_then(|typst| printed(&typst, &["--version"]).map_err(anyhow::Error::msg));
    BTreeMap::from([
        ("Loadbook".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("NGINX".to_owned(), text(nginx)),
        ("PostgreSQL".to_owned(), told(postgres, &["server_version"])),
        ("Redis".to_owned(), told(redis, &["redis_version", "valkey_version"])),
        ("Typst".to_owned(), text(typst.map_err(why).map(|text| text.trim_start_matches("typst ").to_owned()))),
        ("rustc".to_owned(), text(compiler)),
    ])
}

/// How the servers were built, each fact under the server's name.
async fn builds(blog: &Blog, programs: &Programs) -> Texts {
    let told = |name: &str, build: Result<Texts>| match build {
        Ok(build) => under(name, build),
        Err(error) => Texts::from([(name.to_owned(), text(Err(why(error))))]),
    };
    let mut builds = told("PostgreSQL", blog.stack.postgres.build().await);
    builds.extend(told("Redis", blog.stack.redis.build().await));
    builds.extend(told("NGINX", printed(&programs.stack.nginx, &["-V"]).map(nginx_build).map_err(anyhow::Error::msg)));
    builds
}

/// What `nginx -V` says below its version: `built with OpenSSL …`, `configure arguments: …`.
fn nginx_build(printed: String) -> Texts {
    let facts = printed.lines().filter_map(|line| {
        let (name, fact) = line.split_once(": ").or_else(|| line.split_once(" with "))?;
        (!name.ends_with("version")).then(|| (name.replace(' ', "_"), fact.trim().to_owned()))
    });
    facts.collect()
}

/// What a program prints when it is asked for its version; some print to the other stream.
fn printed(program: &Path, arguments: &[&str]) -> Fact {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("`{}` cannot be started: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    if text.is_empty() { Err(format!("`{}` printed nothing", program.display())) } else { Ok(text) }
}

fn last_word(text: &str) -> String {
    text.lines().last().and_then(|line| line.rsplit(['/', ' ']).next()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_of_nginx_is_what_it_says_below_its_version() {
        let printed = "nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.8 7 Feb 2023 (running with OpenSSL 3.0.17)\n\
                       TLS SNI support enabled\nconfigure arguments: --with-debug --with-http_v2_module";
        let build = nginx_build(printed.to_owned());
        let found: Vec<(&str, &str)> = build.iter().map(|(name, fact)| (name.as_str(), fact.as_str())).collect();
        let with = "OpenSSL 3.0.8 7 Feb 2023 (running with OpenSSL 3.0.17)";
        assert_eq!(found, [("built", with), ("configure_arguments", "--with-debug --with-http_v2_module")]);
    }

    #[test]
    fn what_cannot_be_asked_says_why() {
        let fact = text(printed(Path::new("/nowhere/nginx"), &["-v"]));
        assert!(fact.starts_with("not known: `/nowhere/nginx` cannot be started: "), "{fact}");
    }
}
