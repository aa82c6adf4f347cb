//! `postrider dev`: what a stranger sees first.

use std::net::TcpListener;

use crate::world::{Site, postrider};

#[test]
fn dev_once_sees_everything_work_and_ends_with_0() {
    let output = postrider(&["dev", "--once", "--listen", "127.0.0.1:0"]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    let mentions = |words: &str| assert!(stdout.contains(words), "no {words:?} in:\n{stdout}");
    mentions("attempt 1: signature verified by the standardwebhooks library, answered 200");
    mentions("attempt 1: signature verified by the standardwebhooks library, answered 500");
    mentions("attempt 2: signature verified by the standardwebhooks library, answered 200");
    mentions("All of it works. Ending");
    for words in ["curl", "from now on"] {
        assert!(
            !stdout.contains(words),
            "it speaks of what comes when nothing comes any more:\n{stdout}"
        );
    }
    assert!(!stdout.contains('\u{1b}'), "colours in a pipe:\n{stdout}");
}

#[test]
fn dev_can_be_run_again_on_a_store_that_stays() {
    let site = Site::new();
    for _ in 0..2 {
        let output = site.run(&["dev", "--once", "--listen", "127.0.0.1:0", "--store", "sqlite:kept.db"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    assert!(site.path("kept.db").exists());
}

#[test]
fn dev_on_a_port_in_use_names_it_and_ends_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = postrider(&["dev", "--once", "--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains(&address));
}
