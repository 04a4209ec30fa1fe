//! The programs that are looked for, in the order of the doctor's table, and everything that is known about each.

use std::fmt;

use crate::version::{Needed, Version};

/// A program that Loadbook runs but does not contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// Runs the recipes of the justfile; `./just` sees to it.
    Just,
    /// The database server; its folder also holds `initdb`.
    Postgres,
    /// The cache server: Redis or Valkey.
    Redis,
    /// The load balancer.
    Nginx,
    /// The typesetter of the report.
    Typst,
    /// The browser of the tests.
    Chromium,
    /// What lets a test drive it; its major version is Chromium's.
    ChromeDriver,
}

impl Program {
    /// Every program, in the order of the doctor's table.
    pub const ALL: [Self; 7] =
        [Self::Just, Self::Postgres, Self::Redis, Self::Nginx, Self::Typst, Self::Chromium, Self::ChromeDriver];

    /// What `just setup` provides. `just` is not among them: whoever runs the recipe has it.
    pub const INSTALLED_BY_SETUP: [Self; 4] = [Self::Postgres, Self::Redis, Self::Nginx, Self::Typst];

    /// What `just setup --tests` provides besides: nothing but the tests runs them.
    pub const FOR_TESTS: [Self; 2] = [Self::Chromium, Self::ChromeDriver];

    /// The name as its authors write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Just => "just",
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Redis or Valkey",
            Self::Nginx => "NGINX",
            Self::Typst => "Typst",
            Self::Chromium => "Chromium",
            Self::ChromeDriver => "ChromeDriver",
        }
    }

    /// The versions that will do.
    #[must_use]
    pub const fn needed(self) -> Needed {
        match self {
            // Debian 13 packages 1.40; the justfile uses nothing newer.
            Self::Just => Needed { at_least: &[1, 40], below: None },
            Self::Postgres => Needed { at_least: &[15], below: None },
            // Valkey began as 7.2, so that one bound serves both.
            Self::Redis => Needed { at_least: &[7], below: None },
            Self::Nginx => Needed { at_least: &[1, 22], below: None },
            // Typst is below 1.0: each minor release may lay the same page out differently.
            Self::Typst => Needed { at_least: &[0, 15], below: Some(&[0, 16]) },
            // The first whose headless mode is the browser itself.
            Self::Chromium | Self::ChromeDriver => Needed { at_least: &[112], below: None },
        }
    }

    /// The file names it goes by, best first.
    pub(crate) const fn executables(self) -> &'static [&'static str] {
        match self {
            Self::Just => &["just"],
            Self::Postgres => &["postgres"],
            Self::Redis => &["redis-server", "valkey-server"],
            Self::Nginx => &["nginx"],
            Self::Typst => &["typst"],
            Self::Chromium => &["chromium", "chromium-browser", "google-chrome", "Chromium", "Google Chrome"],
            Self::ChromeDriver => &["chromedriver"],
        }
    }

    /// Files that must stand beside the executable, or else it is only a part of the program.
    pub(crate) const fn companions(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["initdb"],
            _ => &[],
        }
    }

    /// The argument that makes it print its version and nothing else.
    pub(crate) const fn version_argument(self) -> &'static str {
        match self {
            Self::Nginx => "-v",
            _ => "--version",
        }
    }

    /// Reads the version out of what it printed.
    pub(crate) fn read_version(self, output: &str) -> Option<Version> {
        let marker = match self {
            Self::Just => "just ",
            Self::Postgres => "(PostgreSQL) ",
            Self::Redis => " v=",
            // Also takes NGINX's relatives, which keep its number: `nginx version: openresty/1.27.1.1`.
            Self::Nginx => "/",
            Self::Typst => "typst ",
            Self::Chromium if output.contains("Google Chrome ") => "Google Chrome ",
            Self::Chromium => "Chromium ",
            Self::ChromeDriver => "ChromeDriver ",
        };
        Version::after(marker, output)
    }

    /// Folders beyond `PATH` where package managers put it, best first; a `*` stands for the rest of a folder's name, and
    /// the highest number is tried first.
    pub(crate) const fn known_folders(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &[
                "/usr/lib/postgresql/*/bin",
                "/opt/homebrew/opt/postgresql@*/bin",
                "/usr/local/opt/postgresql@*/bin",
                "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
                "/usr/pgsql-*/bin",
                "/usr/libexec/postgresql*",
                "/Applications/Postgres.app/Contents/Versions/*/bin",
            ],
            Self::Chromium => &[
                "/snap/bin",
                "/Applications/Chromium.app/Contents/MacOS",
                "/Applications/Google Chrome.app/Contents/MacOS",
            ],
            // An ordinary user of Debian does not have `sbin` on the `PATH`, and NGINX is there.
            Self::Just | Self::Redis | Self::Nginx | Self::Typst | Self::ChromeDriver => &[
                "/usr/sbin",
                "/usr/local/sbin",
                "/usr/local/bin",
                "/opt/homebrew/bin",
                "/home/linuxbrew/.linuxbrew/bin",
            ],
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the programs print in the wild.
    #[test]
    fn real_version_lines_are_read() {
        let table = [
            (Program::Just, "just 1.59.0\n", "1.59.0"),
            (Program::Postgres, "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", "15.18"),
            (Program::Postgres, "postgres (PostgreSQL) 17.2 (Homebrew)\n", "17.2"),
            (Program::Postgres, "postgres (PostgreSQL) 18beta1\n", "18"),
            (
                Program::Redis,
                "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c\n",
                "7.0.15",
            ),
            (Program::Redis, "Valkey server v=8.1.3 sha=00000000:1 malloc=libc bits=64 build=1\n", "8.1.3"),
            (Program::Nginx, "nginx version: nginx/1.22.1\n", "1.22.1"),
            (Program::Nginx, "nginx version: nginx/1.24.0 (Ubuntu)\n", "1.24.0"),
            (Program::Nginx, "nginx version: openresty/1.27.1.1\n", "1.27.1.1"),
            (Program::Typst, "typst 0.15.1 (8f2a3b4c)\n", "0.15.1"),
            (Program::Typst, "typst 0.15.2\n", "0.15.2"),
            (Program::Chromium, "Chromium 156.0.8078.79 built on Debian GNU/Linux 12 (bookworm)\n", "156.0.8078.79"),
            (Program::Chromium, "Google Chrome 141.0.7390.54 \n", "141.0.7390.54"),
            (
                Program::ChromeDriver,
                "ChromeDriver 156.0.8078.79 (a21ce95c24ce-refs/branch-heads/8078)\n",
                "156.0.8078.79",
            ),
        ];
        for (program, output, expected) in table {
            let version = program.read_version(output).map(|version| version.to_string());
            assert_eq!(version.as_deref(), Some(expected), "{program}: {output}");
        }
    }

    /// The script at the root has to decide before anything is compiled, so it holds the number a second time.
    #[test]
    fn the_script_wants_the_same_just() {
        let script = include_str!("../../just");
        let [1, minor] = Program::Just.needed().at_least else { panic!("the script knows just 1.x") };
        assert!(script.contains(&format!("\nminimum_minor={minor} ")), "`minimum_minor` in `just` is not {minor}");
    }

    /// An answer of another program is not taken for a version.
    #[test]
    fn foreign_answers_are_refused() {
        for program in Program::ALL {
            for output in ["", "command not found\n", "Segmentation fault\n", "v1.2.3\n"] {
                assert_eq!(program.read_version(output), None, "{program}: {output}");
            }
        }
    }
}
