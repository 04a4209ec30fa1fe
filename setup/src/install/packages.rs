//! Programs from the system's package manager. Knows the names of the packages and their commands, nothing of Typst.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Manager, Session, System, run_logged};
use crate::command::run;
use crate::{Missing, Program, Version};

/// Runs `apt-get` so that no service is started; it is a file of its own, because the user may be asked to run it.
const APT_INSTALL: &str = include_str!("../apt_install.sh");
const APT_INSTALL_PATH: &str = "setup/src/apt_install.sh";

/// The packages that hold a program, best first.
fn packages(manager: Manager, program: Program) -> &'static [&'static str] {
    match (manager, program) {
        (_, Program::Just | Program::Typst) => &[],
        (Manager::Apt, Program::Postgres) => &["postgresql"],
        (Manager::Apt, Program::Redis) => &["redis-server", "valkey-server"],
        (Manager::Brew, Program::Postgres) => &["postgresql@17"],
        (Manager::Dnf | Manager::Zypper, Program::Postgres) => &["postgresql-server"],
        (Manager::Pacman | Manager::Apk, Program::Postgres) => &["postgresql"],
        (_, Program::Chromium) => &["chromium"],
        (Manager::Apt, Program::ChromeDriver) => &["chromium-driver"],
        (Manager::Apk, Program::ChromeDriver) => &["chromium-chromedriver"],
        // It comes with the browser.
        (Manager::Pacman, Program::ChromeDriver) => &["chromium"],
        (Manager::Brew | Manager::Dnf | Manager::Zypper, Program::ChromeDriver) => &["chromedriver"],
        (Manager::Brew | Manager::Zypper, Program::Redis) => &["redis"],
        (Manager::Dnf | Manager::Pacman | Manager::Apk, Program::Redis) => &["valkey"],
        (_, Program::Nginx) => &["nginx"],
    }
}

/// What to do about the missing programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: no program that comes from a package is missing.
    Nothing,
    /// Install these packages.
    Install(Vec<&'static str>),
    /// We may not; the user can, with this.
    Tell(String),
}

/// Decides what to do. `available` says whether a package of this name is offered in a version that will do.
#[must_use]
pub fn plan(system: &System, missing: &[Program], available: impl Fn(Program, &str) -> bool) -> Plan {
    let wanted: Vec<Program> = missing.iter().copied().filter(|program| *program != Program::Typst).collect();
    if wanted.is_empty() {
        return Plan::Nothing;
    }
    let list: Vec<String> = wanted.iter().map(|program| format!("{program} {}", program.needed())).collect();
    let Some((manager, _)) = system.manager else {
        return Plan::Tell(format!(
            "no package manager that this set-up knows is here; install {} yourself, so that their programs are on the `PATH`",
            list.join(", ")
        ));
    };
    let mut chosen = Vec::new();
    for program in wanted {
        let names = packages(manager, program);
        match names.iter().find(|name| available(program, name)) {
            Some(name) if chosen.contains(name) => {}
            Some(name) => chosen.push(*name),
            None => return Plan::Tell(too_old(program)),
        }
    }
    if system.may_install() { Plan::Install(chosen) } else { Plan::Tell(by_hand(manager, &chosen)) }
}

/// The command for somebody who may do what we may not.
fn by_hand(manager: Manager, packages: &[&str]) -> String {
    let packages = packages.join(" ");
    let command = match manager {
        Manager::Apt => {
            return format!(
                "installing needs root; run this, which starts no service, then try again:\n    sudo sh {APT_INSTALL_PATH} {packages}"
            );
        }
        Manager::Brew => {
            return format!(
                "Homebrew refuses to run as root; run this as yourself, then try again:\n    brew install {packages}"
            );
        }
        Manager::Dnf => "dnf install",
        Manager::Pacman => "pacman -S --needed",
        Manager::Apk => "apk add",
        Manager::Zypper => "zypper install",
    };
    format!("run this, then try again:\n    sudo {command} {packages}")
}

/// The system is older than the program that is needed; its makers have repositories for that.
fn too_old(program: Program) -> String {
    let makers = match program {
        Program::Postgres => {
            "run this, then try again:\n    sudo apt-get install -y postgresql-common && \
             sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y && \
             sudo sh setup/src/apt_install.sh postgresql"
        }
        Program::Redis => "see https://redis.io/docs/latest/operate/oss_and_stack/install/",
        Program::Nginx => "see https://nginx.org/en/linux_packages.html",
        Program::Chromium | Program::ChromeDriver => "see https://www.chromium.org/getting-involved/download-chromium/",
        Program::Just | Program::Typst => "",
    };
    format!("this system offers no {program} {}; {makers}", program.needed())
}

/// Installs what comes from packages, or says how the user can.
pub(super) fn install<W: Write>(session: &mut Session<'_, W>, missing: &[Missing]) -> Result<(), String> {
    let missing: Vec<Program> = missing.iter().map(|problem| problem.program).collect();
    let apt = matches!(session.system.manager, Some((Manager::Apt, _)));
    let may_install = session.system.may_install();
    // Who may not install may not read the package lists anew either, so that a package that apt does not know proves nothing.
    let offered = |program: Program, package: &str| {
        !apt || candidate(package).map_or(!may_install, |found| program.needed().accepts(&found))
    };
    let mut decision = plan(&session.system, &missing, offered);
    if apt && matches!(decision, Plan::Tell(_)) && session.system.may_install() {
        // An empty or old list of packages looks like a system without the package.
        update_lists(session)?;
        decision = plan(&session.system, &missing, offered);
    }
    match decision {
        Plan::Nothing => Ok(()),
        Plan::Tell(remedy) => Err(remedy),
        Plan::Install(packages) => install_packages(session, &packages),
    }
}

/// Installs packages by name.
pub(super) fn install_packages<W: Write>(session: &mut Session<'_, W>, packages: &[&str]) -> Result<(), String> {
    let Some((manager, path)) = session.system.manager.clone() else {
        return Err("no package manager is here".to_owned());
    };
    let (project_root, system) = (session.project_root, session.system.clone());
    let what = format!("installing {} with {}", packages.join(", "), manager.command());
    session.timed(&what, || {
        let mut command = match manager {
            Manager::Apt => as_root(&system, "sh"),
            _ => Command::new(path),
        };
        match manager {
            Manager::Apt => command.args(["-c", APT_INSTALL, "apt_install.sh"]),
            _ => command.arg("install").env("HOMEBREW_NO_AUTO_UPDATE", "1").env("HOMEBREW_NO_ENV_HINTS", "1"),
        };
        run_logged(project_root, command.args(packages))
    })
}

/// Installs one package if this machine lets us, for example the one that holds pip.
pub(super) fn install_or_tell<W: Write>(session: &mut Session<'_, W>, apt_package: &'static str) -> Result<(), String> {
    match session.system.manager {
        Some((Manager::Apt, _)) if session.system.may_install() => {
            if candidate(apt_package).is_none() {
                update_lists(session)?;
            }
            install_packages(session, &[apt_package])
        }
        Some((manager @ (Manager::Apt | Manager::Dnf | Manager::Zypper), _)) => Err(by_hand(manager, &[apt_package])),
        Some((manager @ Manager::Pacman, _)) => Err(by_hand(manager, &["python-pip"])),
        Some((manager @ Manager::Apk, _)) => Err(by_hand(manager, &["py3-pip"])),
        Some((manager @ Manager::Brew, _)) => Err(by_hand(manager, &["python"])),
        None => Err("install Python 3.9 or newer with pip, then try again".to_owned()),
    }
}

fn update_lists<W: Write>(session: &mut Session<'_, W>) -> Result<(), String> {
    let (project_root, system) = (session.project_root, session.system.clone());
    session.timed("reading the package lists with apt-get", || {
        run_logged(project_root, as_root(&system, "apt-get").args(["update", "-o", "DPkg::Lock::Timeout=300"]))
    })
}

fn as_root(system: &System, program: &str) -> Command {
    if system.root {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

/// The version of a package that apt would install.
fn candidate(package: &str) -> Option<Version> {
    let finished = run(Path::new("apt-cache"), &["policy", package], Duration::from_secs(30)).ok()?;
    read_candidate(&finished.output)
}

/// Reads `Candidate: 5:7.0.15-1` as 7.0.15: what stands before a colon is Debian's epoch, not the program's version.
fn read_candidate(policy: &str) -> Option<Version> {
    let (_, value) = policy.lines().find_map(|line| line.trim().split_once("Candidate: "))?;
    Version::leading(value.split_once(':').map_or(value, |(_, version)| version))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn system(manager: Option<Manager>, root: bool, sudo: bool) -> System {
        System {
            manager: manager.map(|manager| (manager, PathBuf::from("/usr/bin").join(manager.command()))),
            root,
            sudo,
        }
    }

    const SERVERS: [Program; 3] = [Program::Postgres, Program::Redis, Program::Nginx];

    /// With apt and root everything is installed at once; Typst is not apt's.
    #[test]
    fn root_on_debian_installs() {
        let missing = [Program::Postgres, Program::Redis, Program::Nginx, Program::Typst];
        let decision = plan(&system(Some(Manager::Apt), true, false), &missing, |_, _| true);
        assert_eq!(decision, Plan::Install(vec!["postgresql", "redis-server", "nginx"]));
        assert_eq!(plan(&system(None, false, false), &[Program::Typst], |_, _| true), Plan::Nothing);
    }

    /// Where Redis is too old or gone, Valkey serves.
    #[test]
    fn valkey_stands_in_for_redis() {
        let decision =
            plan(&system(Some(Manager::Apt), false, true), &[Program::Redis], |_, name| name == "valkey-server");
        assert_eq!(decision, Plan::Install(vec!["valkey-server"]));
    }

    /// Without the right to install, the exact command is told.
    #[test]
    fn others_are_told_the_command() {
        let table = [
            (
                system(Some(Manager::Apt), false, false),
                "sudo sh setup/src/apt_install.sh postgresql redis-server nginx",
            ),
            (system(Some(Manager::Brew), true, false), "brew install postgresql@17 redis nginx"),
            (system(Some(Manager::Dnf), true, false), "sudo dnf install postgresql-server valkey nginx"),
            (system(Some(Manager::Pacman), false, true), "sudo pacman -S --needed postgresql valkey nginx"),
            (
                system(None, true, false),
                "install PostgreSQL 15 or newer, Redis or Valkey 7 or newer, NGINX 1.22 or newer",
            ),
        ];
        for (system, command) in table {
            let Plan::Tell(remedy) = plan(&system, &SERVERS, |_, _| true) else {
                panic!("{system:?} must not install")
            };
            assert!(remedy.contains(command), "{remedy}");
        }
    }

    /// The browser's packages have other names everywhere, and on one system it is one package.
    #[test]
    fn the_browser_of_the_tests_is_known() {
        for (manager, packages) in [
            (Manager::Apt, vec!["chromium", "chromium-driver"]),
            (Manager::Brew, vec!["chromium", "chromedriver"]),
            (Manager::Pacman, vec!["chromium"]),
        ] {
            let remedy =
                match plan(&system(Some(manager), manager == Manager::Apt, false), &Program::FOR_TESTS, |_, _| true) {
                    Plan::Install(found) => found.join(" "),
                    Plan::Tell(remedy) => remedy,
                    Plan::Nothing => String::new(),
                };
            assert!(remedy.ends_with(&packages.join(" ")), "{remedy}");
        }
    }

    /// A system that offers only old versions is not made to install them.
    #[test]
    fn old_packages_are_not_installed() {
        let Plan::Tell(remedy) = plan(&system(Some(Manager::Apt), true, false), &SERVERS, |_, name| name == "nginx")
        else {
            panic!("nothing of use can be installed");
        };
        assert!(remedy.starts_with("this system offers no PostgreSQL 15 or newer"), "{remedy}");
    }

    /// apt's answer, with and without an epoch, and for a package that it does not know.
    #[test]
    fn candidates_are_read() {
        let table = [
            ("redis-server:\n  Installed: (none)\n  Candidate: 5:7.0.15-1~deb12u10\n", Some("7.0.15")),
            ("postgresql:\n  Installed: 15+248\n  Candidate: 15+248+deb12u2\n", Some("15")),
            ("nginx:\n  Candidate: 1.18.0-6ubuntu14.4\n", Some("1.18.0")),
            ("ghost:\n  Installed: (none)\n  Candidate: (none)\n", None),
            ("", None),
        ];
        for (policy, expected) in table {
            assert_eq!(read_candidate(policy).map(|version| version.to_string()).as_deref(), expected, "{policy}");
        }
    }
}
