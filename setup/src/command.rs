//! Runs a child process with a deadline and keeps what it printed. Knows no program.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A program that is asked for its version and has not answered by then hangs.
pub(crate) const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

/// What a child process left behind.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    /// Standard output, then standard error: NGINX prints its version on the latter.
    pub(crate) output: String,
}

/// Runs `program` without input and waits for `timeout` at most; then its whole process group is killed.
///
/// The error is a sentence fragment that goes with the program's name.
pub(crate) fn run(program: &Path, arguments: &[&str], timeout: Duration) -> Result<Finished, String> {
    let deadline = Instant::now() + timeout;
    let mut child = spawn(program, arguments, deadline).map_err(|error| format!("cannot be started: {error}"))?;
    let output = read_aside(child.stdout.take());
    let errors = read_aside(child.stderr.take());
    let Some(status) = wait_until(&mut child, deadline) else {
        kill_group(&mut child);
        return Err(format!("gave no answer within {} s", timeout.as_secs()));
    };
    let mut text = String::new();
    for pipe in [output, errors] {
        // A grandchild can hold the pipe open after the child is gone, so this wait has an end as well.
        let left = deadline.saturating_duration_since(Instant::now());
        match pipe.recv_timeout(left) {
            Ok(part) => text.push_str(&part),
            Err(_) => {
                kill_group(&mut child);
                return Err("left a child that holds its output open".to_owned());
            }
        }
    }
    Ok(Finished { status, output: text })
}

/// Starts the child. A file that was written a moment ago can still be open for writing in another thread's fork; it is waited for.
fn spawn(program: &Path, arguments: &[&str], deadline: Instant) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
}

/// Reads a pipe to its end on a thread of its own, so that a full pipe cannot block the child.
fn read_aside(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth having.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

fn wait_until(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    let mut pause = Duration::from_micros(200);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(pause),
            Ok(None) | Err(_) => return None,
        }
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// Kills the child with everything it started. The standard library can only signal the child itself, so the shell's own `kill`
/// does the rest; a minimal Debian has no other.
fn kill_group(child: &mut Child) {
    let kill = format!("kill -s KILL -- -{}", child.id());
    let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
    let _ = child.kill();
    let _ = child.wait();
}

/// The first executable file called `name` in `folders`.
pub(crate) fn find_executable<'a>(
    folders: impl IntoIterator<Item = &'a Path>,
    name: impl AsRef<OsStr>,
) -> Option<std::path::PathBuf> {
    folders.into_iter().map(|folder| folder.join(name.as_ref())).find(|path| is_executable(path))
}

/// Whether `path` is a file that somebody may execute.
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
