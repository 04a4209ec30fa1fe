//! What this machine offers for installing things: its package manager and the right to use it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Search;
use crate::command::{find_executable, run};

/// The system's package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// Debian, Ubuntu and their kin.
    Apt,
    /// Homebrew, on macOS or Linux.
    Brew,
    /// Fedora and its kin; not run, only named.
    Dnf,
    /// Arch Linux; not run, only named.
    Pacman,
    /// Alpine Linux; not run, only named.
    Apk,
    /// openSUSE; not run, only named.
    Zypper,
}

impl Manager {
    /// In the order in which they are looked for: apt before Homebrew, which can be on a Debian too.
    const ALL: [(Self, &'static str); 6] = [
        (Self::Apt, "apt-get"),
        (Self::Brew, "brew"),
        (Self::Dnf, "dnf"),
        (Self::Pacman, "pacman"),
        (Self::Apk, "apk"),
        (Self::Zypper, "zypper"),
    ];

    /// The name of its command.
    #[must_use]
    pub fn command(self) -> &'static str {
        Self::ALL.iter().find(|(manager, _)| *manager == self).map_or("", |(_, command)| command)
    }
}

/// What this machine offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// The package manager with the path of its command, if one that we know is there.
    pub manager: Option<(Manager, PathBuf)>,
    /// Whether we are root.
    pub root: bool,
    /// Whether `sudo` lets us through without asking.
    pub sudo: bool,
}

impl System {
    /// Looks for a package manager and for the right to use it.
    #[must_use]
    pub fn detect(search: &Search) -> Self {
        let brew_folders = ["/opt/homebrew/bin", "/usr/local/bin", "/home/linuxbrew/.linuxbrew/bin"];
        let folders: Vec<&Path> = search.folders().chain(brew_folders.map(Path::new)).collect();
        let manager = Manager::ALL.into_iter().find_map(|(manager, command)| {
            find_executable(folders.iter().copied(), command).map(|path| (manager, path))
        });
        let limit = Duration::from_secs(5);
        let root = run(Path::new("id"), &["-u"], limit).is_ok_and(|finished| finished.output.trim() == "0");
        let sudo =
            !root && run(Path::new("sudo"), &["-n", "true"], limit).is_ok_and(|finished| finished.status.success());
        Self { manager, root, sudo }
    }

    /// Whether packages can be installed without asking anybody.
    #[must_use]
    pub fn may_install(&self) -> bool {
        match self.manager {
            Some((Manager::Apt, _)) => self.root || self.sudo,
            // Homebrew refuses to run as root.
            Some((Manager::Brew, _)) => !self.root,
            _ => false,
        }
    }
}
