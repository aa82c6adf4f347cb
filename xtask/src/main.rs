//! The project's own chores. `cargo run -p xtask -- docs` writes the generated pages of docs/reference; `cargo test -p xtask`
//! is tidy: what a reviewer would say twice, as tests.

mod limits;
#[cfg(test)]
mod tidy;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The root of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

fn write_docs() -> io::Result<()> {
    let page = limits::page(&root())?;
    let path = root().join(limits::PAGE);
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(&path, page)?;
    println!("wrote {}", limits::PAGE);
    // The API describes itself: its own crate writes these, so that xtask need not be built with it.
    // The command line does so too. Examples of one workspace must not share a name: they are built into one folder.
    for (package, example) in [("postrider-api", "api_reference"), ("postrider", "command_reference")] {
        let arguments = ["run", "--quiet", "-p", package, "--example", example];
        let status = Command::new(env!("CARGO")).args(arguments).current_dir(root()).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("the pages of {package} could not be written")));
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments != ["docs"] {
        eprintln!("usage: cargo run -p xtask -- docs");
        return ExitCode::from(2);
    }
    match write_docs() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
