//! The settings of the private PostgreSQL, as one value that can be written down, and the file that they make. Knows nothing of
//! the process.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What a run may choose. Everything else is PostgreSQL's default or a constant of [`PostgresSettings::configuration`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresSettings {
    /// Pages that PostgreSQL itself caches. Small, so that a data set can be larger than it.
    pub shared_buffers_mib: u32,
    /// What the planner believes to be cached by PostgreSQL and the kernel together.
    pub effective_cache_size_mib: u32,
    /// For each sort or hash before it goes to disk.
    pub work_mem_mib: u32,
    /// For building indexes.
    pub maintenance_work_mem_mib: u32,
    /// Connections of all app servers, the seeding and the probes together.
    pub max_connections: u32,
    /// Whether a commit waits for the disk. `fsync` stays on either way: a crash loses the last commits, never the data.
    pub synchronous_commit: bool,
    /// Whether tables are vacuumed and analysed in the background. A run that measures switches it off.
    pub autovacuum: bool,
    /// Just-in-time compilation of expensive queries. Off, because the first executions would carry the compiler's time.
    pub jit: bool,
    /// The planner's price of a random page against 1 for a sequential one. 1.1 fits solid-state disks.
    pub random_page_cost: f64,
    /// The log that may be written between two checkpoints. Large enough that none falls into a short measurement.
    pub max_wal_size_mib: u32,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            shared_buffers_mib: 128,
            effective_cache_size_mib: 1024,
            work_mem_mib: 8,
            maintenance_work_mem_mib: 128,
            max_connections: 160,
            synchronous_commit: true,
            autovacuum: true,
            jit: false,
            random_page_cost: 1.1,
            max_wal_size_mib: 2048,
        }
    }
}

impl PostgresSettings {
    /// The configuration file.
    pub(super) fn configuration(&self, sockets: &Path) -> String {
        let on = |value: bool| if value { "on" } else { "off" }.to_owned();
        let settings = [
            ("listen_addresses", "''".to_owned()),
            ("unix_socket_directories", format!("'{}'", sockets.display())),
            ("unix_socket_permissions", "0700".to_owned()),
            ("max_connections", self.max_connections.to_string()),
            ("shared_buffers", format!("{}MB", self.shared_buffers_mib)),
            ("effective_cache_size", format!("{}MB", self.effective_cache_size_mib)),
            ("work_mem", format!("{}MB", self.work_mem_mib)),
            ("maintenance_work_mem", format!("{}MB", self.maintenance_work_mem_mib)),
            ("fsync", on(true)),
            ("synchronous_commit", on(self.synchronous_commit)),
            ("max_wal_size", format!("{}MB", self.max_wal_size_mib)),
            ("checkpoint_timeout", "30min".to_owned()),
            ("autovacuum", on(self.autovacuum)),
            ("jit", on(self.jit)),
            ("random_page_cost", self.random_page_cost.to_string()),
            ("shared_preload_libraries", "'pg_stat_statements'".to_owned()),
            ("track_io_timing", on(true)),
            ("log_checkpoints", on(true)),
            ("log_line_prefix", "'%m [%p] %d '".to_owned()),
            ("timezone", "'UTC'".to_owned()),
            ("log_timezone", "'UTC'".to_owned()),
        ];
        let mut text = "# Written at every start by the stack; changes made here are lost.\n".to_owned();
        for (name, value) in settings {
            let _ = writeln!(text, "{name} = {value}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_file() {
        insta::assert_snapshot!(PostgresSettings::default().configuration(Path::new("/run/sockets")));
    }
}
