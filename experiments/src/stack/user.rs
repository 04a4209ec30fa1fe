//! The unprivileged user whom the services run as when the runner is root. PostgreSQL refuses to be root, and nothing else
//! here needs to be.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::unistd::{Gid, Uid, User, chown, geteuid};

/// Tried in this order: the first is there wherever PostgreSQL came from a package manager.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// A user of the system with few rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unprivileged {
    /// Its name, as in `/etc/passwd`.
    pub name: String,
    /// Its number.
    pub uid: Uid,
    /// Its group's number.
    pub gid: Gid,
}

impl Unprivileged {
    /// Whom to drop to: nobody (`None`) unless the runner is root.
    pub fn needed() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        for name in CANDIDATES {
            if let Some(user) = Self::named(name)? {
                return Ok(Some(user));
            }
        }
        anyhow::bail!(
            "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody`; run as another user"
        )
    }

    /// The user of this name, if there is one.
    pub fn named(name: &str) -> Result<Option<Self>> {
        let user = User::from_name(name).with_context(|| format!("cannot look up the user `{name}`"))?;
        Ok(user.map(|user| Self { name: user.name, uid: user.uid, gid: user.gid }))
    }

    /// Makes `path` theirs.
    pub fn own(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot hand `{}` to the user `{}`", path.display(), self.name))
    }

    /// Whether they may enter `folder` and every folder above it. Access lists are not looked at.
    pub fn can_reach(&self, folder: &Path) -> bool {
        folder.ancestors().all(|ancestor| {
            let Ok(metadata) = fs::metadata(ancestor) else {
                return false;
            };
            let may_enter = if metadata.uid() == self.uid.as_raw() {
                0o100
            } else if metadata.gid() == self.gid.as_raw() {
                0o010
            } else {
                0o001
            };
            metadata.mode() & may_enter != 0
        })
    }
}
