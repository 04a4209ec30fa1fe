//! The script that runs `apt-get`, in a made-up Debian (`DPKG_ROOT`): what it forbids while it installs, and that it puts everything back.

use std::fs;
use std::process::{Command, Output};

use crate::fixture::Folder;

/// Runs the script with an `apt-get` that notes what it was told and what stood in the policy file then.
fn install(system: &Folder, apt_get: &str, packages: &[&str]) -> Output {
    let notes = system.join("notes");
    let policy = system.join("root/usr/sbin/policy-rc.d");
    let note = format!(
        "echo \"$@\" >> '{notes}'; sh '{policy}' || echo policy $? >> '{notes}'; \
         cat '{cluster}' >> '{notes}'",
        notes = notes.display(),
        policy = policy.display(),
        cluster = system.join("root/etc/postgresql-common/createcluster.d/loadbook.conf").display()
    );
    system.script("bin/apt-get", &format!("{note}\n{apt_get}"));
    system.script("bin/systemctl", &format!("echo systemctl \"$@\" >> '{}'", notes.display()));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/apt_install.sh");
    Command::new("sh")
        .arg(script)
        .args(packages)
        .env("DPKG_ROOT", system.join("root"))
        .env("PATH", format!("{}:/usr/bin:/bin", system.join("bin").display()))
        .output()
        .expect("the script is started")
}

fn notes(system: &Folder) -> String {
    fs::read_to_string(system.join("notes")).expect("apt-get was called")
}

/// While apt-get runs, services are forbidden to start and PostgreSQL to make a cluster; afterwards no trace is left, and only units
/// that were not there before are kept from the next boot.
#[test]
fn no_service_is_started() {
    let system = Folder::new();
    system.write("root/usr/lib/systemd/system/nginx.service", "");
    let output = install(&system, "exit 0", &["nginx", "redis-server"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let notes = notes(&system);
    assert!(notes.contains("install --assume-yes --no-install-recommends"), "{notes}");
    assert!(notes.contains("-- nginx redis-server\npolicy 101\ncreate_main_cluster = false\n"), "{notes}");
    assert!(notes.contains("systemctl disable --quiet redis-server.service\n"), "{notes}");
    assert!(!notes.contains("disable --quiet nginx.service"), "the user's own NGINX was touched: {notes}");
    assert!(!system.join("root/usr/sbin/policy-rc.d").exists());
    assert!(!system.join("root/etc/postgresql-common/createcluster.d/loadbook.conf").exists());
}

/// A policy that is there already comes back, whether the installation succeeds or fails, and after a run that was killed too.
#[test]
fn an_old_policy_comes_back() {
    let system = Folder::new();
    let policy = system.script("root/usr/sbin/policy-rc.d", "exit 104 # the administrator's");
    for (apt_get, code) in [("exit 0", 0), ("exit 7", 7)] {
        let output = install(&system, apt_get, &["nginx"]);
        assert_eq!(output.status.code(), Some(code));
        assert!(fs::read_to_string(&policy).expect("it is back").contains("the administrator's"));
    }
    assert!(notes(&system).contains("update -o"), "a failure renews the lists before the second try");

    fs::rename(&policy, system.join("root/usr/sbin/policy-rc.d.before-loadbook")).expect("as a killed run leaves it");
    system.script("root/usr/sbin/policy-rc.d", "# Written by loadbook\nexit 101");
    assert!(install(&system, "exit 0", &["nginx"]).status.success());
    assert!(fs::read_to_string(&policy).expect("it is back").contains("the administrator's"));
}
