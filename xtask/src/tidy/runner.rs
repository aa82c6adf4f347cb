//! `./test` runs what it says it runs, and says so where it cannot.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use super::{Findings, assert_clean};

const END_TO_END: &str = "crates/postrider/tests/it/main.rs";

fn read(path: &str) -> String {
    fs::read_to_string(crate::root().join(path)).unwrap()
}

/// Modules that the script's list of those for both stores has, and those that its comment leaves out with a reason.
fn modules_of_the_script(script: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let (before, list) = script.split_once("readonly ON_BOTH_STORES=(").unwrap();
    let (list, _) = list.split_once(')').unwrap();
    let listed = list.split_whitespace().filter_map(|word| word.strip_suffix("::"));
    let reasons = before.lines().rev().take_while(|line| line.starts_with('#'));
    let left_out = reasons.filter_map(|line| line.strip_prefix("# - ")?.split_once(':'));
    let left_out = left_out.flat_map(|(names, _)| names.split(", "));
    (listed.collect(), left_out.collect())
}

#[test]
fn each_module_of_the_whole_runs_on_both_stores_or_says_why_not() {
    let (script, main) = (read("test"), read(END_TO_END));
    let (listed, left_out) = modules_of_the_script(&script);
    let modules: BTreeSet<&str> = main
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    let mut findings = Findings::new();
    for name in modules.iter().filter(|name| listed.contains(**name) == left_out.contains(**name)) {
        findings.push(format!(
            "test:1: {name} stands either in ON_BOTH_STORES or, with a reason, in the comment above it"
        ));
    }
    for name in listed.union(&left_out).filter(|name| !modules.contains(**name)) {
        findings.push(format!(
            "test:1: {END_TO_END} has no module {name}: a filter that finds nothing passes"
        ));
    }
    assert_clean(&findings);
}

/// What a shell makes of these lines once it has read the script's functions.
fn shell(lines: &str) -> Output {
    let lines = format!(". ./test\n{lines}");
    let mut bash = Command::new("bash");
    bash.args(["-c", &lines])
        .current_dir(crate::root())
        .env_remove("POSTRIDER_TEST_STORE");
    bash.output().unwrap()
}

#[test]
fn all_that_is_missing_is_said_at_once() {
    let nothing = "command() { return 1; }; compgen() { return 1; }; POSTRIDER_TEST_POSTGRES=nowhere; prepare";
    let output = shell(nothing);
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    let tools = [
        "cargo",
        "C compiler",
        "curl",
        "Python",
        "Node.js",
        "PostgreSQL",
        "libfaketime",
        "PgBouncer",
    ];
    for tool in tools {
        assert!(words.contains(tool), "{tool} is not named: {words}");
    }
    let packages = "apt-get install curl ca-certificates jq python3 python3-venv nodejs npm postgresql libfaketime pgbouncer\n";
    assert!(words.ends_with(packages), "{words}");
}

#[test]
fn whoever_names_single_tests_means_those() {
    let asks = [
        ("--workspace", false),
        ("-p postrider --test it", false),
        ("--exclude xtask --features fuzzing --release", false),
        ("chaos", true),
        ("-p postrider --test it chaos", true),
        ("-p postrider --test it -- chaos", true),
        ("--test=it chaos", true),
    ];
    for (ask, single) in asks {
        let output = shell(&format!("names_tests {ask}"));
        assert_eq!(output.status.success(), single, "{ask}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

/// The second runs where cargo tells of these programs: each a package's folder and what stands for its tests.
fn second_runs(programs: &[(&str, &str)], scope: &str) -> Output {
    let lines = programs
        .iter()
        .map(|(package, program)| format!("printf '%s\\t%s\\n' \"$PWD/crates/{package}/Cargo.toml\" {program}\n"));
    let lines: String = lines.collect();
    shell(&format!("cargo() {{\n:\n{lines}}}\njq() {{ cat; }}\nrun_on_other_stores {scope}"))
}

#[test]
fn the_api_runs_on_sqlite_and_on_postgresql_and_the_whole_on_postgresql() {
    // `env` shows what stands in the variable, `echo` by what the tests are chosen.
    let output = second_runs(&[("api", "env"), ("model", "false"), ("postrider", "echo")], "--workspace");
    assert!(output.status.success(), "{output:?}");
    let words = String::from_utf8(output.stdout).unwrap();
    let stores = words.lines().filter_map(|line| line.strip_prefix("POSTRIDER_TEST_STORE="));
    assert_eq!(stores.collect::<Vec<_>>(), ["sqlite", "postgres"]);
    assert!(words.contains("Running on postgres: echo\ncli:: contract:: "), "{words}");
}

#[test]
fn second_runs_that_fail_or_find_no_tests_are_no_success() {
    let failing = second_runs(&[("api", "false"), ("postrider", "true")], "--workspace");
    assert!(!failing.status.success(), "{failing:?}");
    for programs in [&[][..], &[("api", "true")], &[("postrider", "true")]] {
        let output = second_runs(programs, "--workspace");
        assert!(!output.status.success(), "{programs:?}: {output:?}");
    }
    assert!(
        second_runs(&[], "-p postrider-lanes").status.success(),
        "who asks for less gets less"
    );
    let silent = shell("cargo() { return 101; }; jq() { cat; }; run_on_other_stores -p postrider-lanes");
    assert!(!silent.status.success(), "{silent:?}");
}
