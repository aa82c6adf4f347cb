//! The pages of docs/ that tell what to type: all that they say is typed, against a real server.
//!
//! The `sh` blocks of a page run in their order, in one shell. A block behind `<!-- not run: why -->` is left out, one that starts the
//! server only says with which flags; a block behind `<!-- file: name -->` is saved under that name.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{OPERATOR_KEY, Server, Site};

/// What stands before the blocks: curl fails where the server refuses, and between two blocks what was posted is sent. (`kill` is the shell's own:
/// not every machine has another.)
const PROLOGUE: &str = r#"
set -euo pipefail
curl() { command curl --fail-with-body "$@"; }
settle() {
    [ -n "${POSTRIDER_KEY:-}" ] || return 0
    for _ in $(seq 600); do
        command curl -sS "$SERVER/deliveries?limit=200" -H "Authorization: Bearer $POSTRIDER_KEY" -H "Account-Id: shop-17" |
            jq -e 'if type == "array" then all(.status != "in_progress" and (.status != "pending" or (.attempts | length) > 0)) else true end' \
            > /dev/null && return 0
        sleep 0.05
    done
    echo 'what was posted was not sent' >&2
    return 1
}
end() { local jobs; jobs="$(jobs -p)"; [ -z "$jobs" ] || kill $jobs; }
trap end EXIT
"#;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A page taken apart.
#[derive(Default)]
struct Page {
    /// What is typed, block by block.
    typed: Vec<String>,
    /// Files that the reader saves.
    files: Vec<(String, String)>,
    /// The flags of `postrider serve`, where the page starts it.
    serve: Vec<String>,
}

fn read(name: &str) -> Page {
    let text = fs::read_to_string(repository().join(name)).unwrap();
    let mut page = Page::default();
    let mut mark = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: String = lines
                .by_ref()
                .take_while(|line| *line != "```")
                .fold(String::new(), |block, line| block + line + "\n");
            page.take(language, std::mem::take(&mut mark), block);
        } else if let Some(found) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            mark = found;
        } else if !line.is_empty() {
            mark = "";
        }
    }
    page
}

impl Page {
    fn take(&mut self, language: &str, mark: &str, block: String) {
        if let Some(file) = mark.strip_prefix("file: ") {
            self.files.push((file.to_owned(), block));
            return;
        }
        if language != "sh" || mark.starts_with("not run: ") {
            return;
        }
        match block.lines().find_map(|line| line.strip_prefix("postrider serve")) {
            Some(flags) => self.serve = flags.split_whitespace().map(str::to_owned).collect(),
            None => self.typed.push(block),
        }
    }
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A folder that comes first in PATH: our binary, and the Python that the tests have prepared.
fn commands(site: &Site) -> PathBuf {
    let folder = site.path("commands");
    fs::create_dir(&folder).unwrap();
    symlink(env!("CARGO_BIN_EXE_postrider"), folder.join("postrider")).unwrap();
    let python = std::env::var("POSTRIDER_TEST_PYTHON").expect("run the tests by ./test: it installs what they need");
    fs::write(folder.join("python3"), format!("#!/bin/sh\nexec '{python}' \"$@\"\n")).unwrap();
    fs::set_permissions(folder.join("python3"), Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Types what the page says, behind `before`, and fails where any of it fails.
fn follow(site: &Site, server: &Server, page: &Page, before: &str) {
    let receiver = free_port().to_string();
    let place = |text: &str| {
        text.replace("127.0.0.1:8080", &server.address.to_string())
            .replace("127.0.0.1:8000", &receiver)
    };
    for (name, text) in &page.files {
        let port = receiver.rsplit(':').next().unwrap();
        fs::write(
            site.path(name),
            text.replace("\"127.0.0.1\", 8000", &format!("\"127.0.0.1\", {port}")),
        )
        .unwrap();
    }
    let mut script = format!("SERVER=http://{}\n{PROLOGUE}{}", server.address, place(before));
    for (number, block) in page.typed.iter().enumerate() {
        // A text takes all that is written to it.
        let _ = write!(script, "\necho '== block {}' >&2\n{}settle\n", number + 1, place(block));
    }
    let path = format!("{}:{}", commands(site).display(), std::env::var("PATH").unwrap());
    // Nothing that is typed takes long: what waits for ever is a fault of the page.
    let mut bash = Command::new("timeout");
    bash.args(["120", "bash"]);
    // What whoever runs the tests has set is no setting of ours.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("POSTRIDER_")) {
        bash.env_remove(name);
    }
    let output = bash
        .args(["-c", &script])
        .current_dir(site.path(""))
        .env("PATH", path)
        .env("POSTRIDER_SERVER", format!("http://{}", server.address))
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(!page.typed.is_empty());
}

#[test]
fn getting_started_works_word_for_word() {
    let page = read("docs/getting-started.md");
    let site = Site::new();
    assert!(page.serve.contains(&"--dev".to_owned()), "{:?}", page.serve);
    let server = site.start(&[]);
    let mut page = page;
    for block in &mut page.typed {
        *block = block.replace("an-operator-key-of-32-characters-or-more", OPERATOR_KEY);
    }
    follow(&site, &server, &page, "");
}
#[test]
fn what_producers_are_told_to_type_works() {
    let site = Site::new();
    let server = site.start(&[]);
    let before = format!(
        r#"
        call() {{ curl -sS -H "Authorization: Bearer {OPERATOR_KEY}" -H "Account-Id: shop-17" -H "Content-Type: application/json" "$@"; }}
        call http://127.0.0.1:8080/accounts -d '{{"name": "Corner shop", "external_id": "shop-17"}}'
        POSTRIDER_KEY="$(call http://127.0.0.1:8080/accounts/shop-17/keys -d '{{"name": "backend"}}' | jq -r .token)"
        WEBHOOK="$(call http://127.0.0.1:8080/webhooks -d '{{"url": "http://127.0.0.1:8000/"}}' | jq -r .id)"
        "#
    );
    follow(&site, &server, &read("docs/producers.md"), &before);
}
