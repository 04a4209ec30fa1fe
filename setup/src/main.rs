//! The commands behind `just setup` and `just doctor`. Knows nothing but how to read its arguments and which exit code to give.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use setup::{Program, doctor, install};

const USAGE: &str = "\
usage: setup install           find the programs that Loadbook runs, and install what is missing
       setup install --tests   the same, and the browser that only the tests run
       setup doctor            show them as a table
exit codes: 0 everything is there, 2 wrong use, 16 something is missing
";

const WRONG_USE: u8 = 2;
const TOOL_MISSING: u8 = 16;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(root) = project_root() else {
        eprintln!("error: this is no folder of Loadbook; go to its root and try again");
        return ExitCode::from(WRONG_USE);
    };
    match arguments[..] {
        ["install"] => install(&root),
        ["install", "--tests"] => {
            // Without it one test fails and says so; the others can run all the same.
            if let Err(unavailable) = install::install(&root, &Program::FOR_TESTS, &mut io::stdout()) {
                eprintln!("warning: the test with the browser will fail: {unavailable}");
            }
            install(&root)
        }
        ["doctor"] => {
            let findings = doctor::examine_this_machine(&root);
            // A closed pipe (`just doctor | head`) is no failure of the machine.
            let _ = io::stdout().write_all(doctor::render(&findings).as_bytes());
            ExitCode::from(if findings.complete { 0 } else { TOOL_MISSING })
        }
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprint!("error: unknown arguments `{}`\n{USAGE}", arguments.join(" "));
            ExitCode::from(WRONG_USE)
        }
    }
}

fn install(root: &Path) -> ExitCode {
    match install::install(root, &Program::INSTALLED_BY_SETUP, &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(unavailable) => {
            eprintln!("error: {unavailable}");
            ExitCode::from(TOOL_MISSING)
        }
    }
}

/// The nearest folder upwards that holds the workspace.
fn project_root() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().find(|folder| folder.join("setup/Cargo.toml").is_file()).map(Path::to_owned)
}
