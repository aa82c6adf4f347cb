//! The command line: exit codes, what goes where, and what is never printed.

use std::net::TcpListener;
use std::process::Output;

use serde_json::{Value, json};

use crate::world::{Account, Client, OPERATOR_KEY, Site, postrider};

fn code_and_stderr(output: &Output) -> (Option<i32>, String) {
    assert!(output.stdout.is_empty(), "an error went to stdout: {output:?}");
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}

#[test]
fn an_unknown_flag_command_or_variable_is_wrong_usage_and_named() {
    for (args, variable, named) in [
        (vec!["serve", "--listenn", "x"], None, "--listenn"),
        (vec!["sreve"], None, "sreve"),
        (vec!["serve"], Some(("POSTRIDER_LISTENN", "x")), "POSTRIDER_LISTENN"),
        (vec!["serve"], Some(("POSTRIDER_LISTEN", "x")), "POSTRIDER_LISTEN"),
        (vec!["serve", "--retry-schedule", "soon"], None, "--retry-schedule"),
        (vec!["serve", "--synchronous", "maybe"], None, "--synchronous"),
        (vec!["serve", "--config", "/nowhere.toml"], None, "/nowhere.toml"),
        (vec!["keys", "create"], None, "--operator"),
        (
            vec!["keys", "create", "--operator"],
            Some(("POSTRIDER_STORRE", "x")),
            "POSTRIDER_STORRE",
        ),
        (vec!["bench", "--payload", "1"], None, "--payload"),
    ] {
        let output = postrider(&args).envs(variable).output().unwrap();
        let (code, stderr) = code_and_stderr(&output);
        assert_eq!(code, Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(named), "{args:?} does not name {named}: {stderr}");
    }
}

#[test]
fn an_unknown_key_of_the_file_is_wrong_usage_and_named() {
    let site = Site::new();
    std::fs::write(site.path("postrider.toml"), "listen = \"127.0.0.1:0\"\nretry_shedule = \"5s\"\n").unwrap();
    let (code, stderr) = code_and_stderr(&site.run(&["serve", "--config", "postrider.toml"]));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("retry_shedule") && stderr.contains("postrider.toml"), "{stderr}");
}

#[test]
fn a_port_in_use_fails_and_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, stderr) = code_and_stderr(&Site::new().run(&["serve", "--listen", &address]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&address), "{stderr}");
}

#[test]
fn a_store_that_cannot_be_opened_fails_and_is_named() {
    let (code, stderr) = code_and_stderr(&Site::new().run(&["serve", "--listen", "127.0.0.1:0", "--store", "sqlite:no/such/folder.db"]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("no/such/folder.db"), "{stderr}");
}

#[test]
fn a_database_that_cannot_be_reached_fails_and_is_named_without_its_password() {
    for (url, named) in [
        ("postgres://me:hush@127.0.0.1:1/d", "postgres://me:***@127.0.0.1:1/d"),
        ("postgresql://me:hush@127.0.0.1:no/d", "port"),
        ("postgres://me@127.0.0.1:1/d?password=hush", "password=***"),
    ] {
        let output = postrider(&["serve", "--dev", "--listen", "127.0.0.1:0"])
            .env("POSTRIDER_STORE", url)
            .output()
            .unwrap();
        let (code, stderr) = code_and_stderr(&output);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(named) && !stderr.contains("hush"), "{stderr}");
    }
}

#[test]
fn what_one_kind_of_store_has_not_is_wrong_usage_with_it() {
    for (args, named) in [
        (&["serve", "--only", "api"][..], "--only"),
        (&["serve", "--store", "postgres://h/d"][..], "secret key"),
        (&["backup", "--store", "postgres://h/d", "to.db"][..], "pg_dump"),
    ] {
        let (code, stderr) = code_and_stderr(&postrider(args).output().unwrap());
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(named), "{stderr}");
    }
}

#[test]
fn a_second_server_on_one_file_fails_and_the_first_goes_on() {
    let site = Site::on_sqlite();
    let first = site.start(&[]);
    let (code, stderr) = code_and_stderr(&site.run(&["serve", "--listen", "127.0.0.1:0", "--store", &site.store()]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("postrider.db"), "{stderr}");
    assert_eq!(
        Client::connect(first.address, OPERATOR_KEY)
            .unwrap()
            .ask("GET", "/readyz", None)
            .unwrap()
            .status,
        200
    );
}

#[test]
fn secrets_are_never_printed() {
    let site = Site::new();
    let hush = "hush-hush-hush-hush-hush-hush-hush-hush";
    for (variable, args) in [
        ("POSTRIDER_SECRET_KEY", ["serve", "--log", "trace"]),
        ("POSTRIDER_OPERATOR_KEY", ["serve", "--listen", "nowhere"]),
        ("POSTRIDER_OPERATOR_KEY", ["serve", "--store", "nowhere"]),
    ] {
        let output = postrider(&args).env(variable, hush).current_dir(site.path(".")).output().unwrap();
        let (code, stderr) = code_and_stderr(&output);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(!stderr.contains("hush"), "{stderr}");
    }
}

#[test]
fn a_made_operator_key_works_beside_a_running_server() {
    let site = Site::new();
    let server = site.start(&[]);
    let output = site.run(&["keys", "create", "--operator", "--name", "ci", "--json", "--store", &site.store()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let key: Value = serde_json::from_slice(&output.stdout).unwrap();
    let token = key["token"].as_str().unwrap();
    assert!(token.starts_with("ptrop_") && key["name"] == "ci");
    assert!(
        !String::from_utf8(output.stderr).unwrap().contains(token),
        "the token belongs on stdout alone"
    );
    let account = Client::connect(server.address, token)
        .unwrap()
        .post("/accounts", &json!({ "name": "first" }));
    assert!(account["id"].as_str().unwrap().starts_with("acc_"));
}

#[test]
fn without_json_the_token_stands_alone_on_stdout() {
    let site = Site::new();
    let output = site.run(&["keys", "create", "--operator"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let token = String::from_utf8(output.stdout).unwrap();
    assert!(
        token.starts_with("ptrop_")
            && token
                .trim_end()
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    );
    assert!(site.path("postrider.db").exists());
}

#[test]
fn the_version_and_the_help_go_to_stdout() {
    let version = postrider(&["--version"]).output().unwrap();
    assert_eq!(
        String::from_utf8(version.stdout).unwrap().trim(),
        format!("postrider {}", env!("CARGO_PKG_VERSION"))
    );
    let help = postrider(&["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for flag in ["--listen", "--store", "--retry-schedule", "POSTRIDER_OPERATOR_KEY", "/readyz"] {
        assert!(help.contains(flag), "{flag} is not in the help");
    }
}

#[test]
fn without_dev_neither_plain_http_nor_an_address_nor_a_special_name_can_be_registered() {
    let server = Site::new().start_strict(&[]);
    let mut client = Account::make(server.address).client(server.address);
    for url in ["http://hooks.example.com/", "https://127.0.0.1/", "https://shop.localhost/"] {
        let answer = client.ask("POST", "/webhooks", Some(&json!({ "url": url }))).unwrap();
        assert_eq!(answer.status, 400, "{url}: {answer:?}");
        assert_eq!(answer.body["params"][0]["path"], "body.url", "{url}: {answer:?}");
    }
}

#[test]
fn the_configuration_in_effect_is_printed_and_nothing_is_started() {
    let site = Site::new();
    std::fs::write(site.path("p.toml"), "retention = \"10d\"\n").unwrap();
    let hush = "hush-hush-hush-hush-hush-hush-hush-hush";
    let shown = |args: &[&str]| {
        let mut command = postrider(&[&["serve", "--print-config", "--config", "p.toml", "--listen", "127.0.0.1:1"], args].concat());
        command.env("POSTRIDER_OPERATOR_KEY", hush).current_dir(site.path("."));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let toml = shown(&[]);
    for line in [
        "listen = \"127.0.0.1:1\"  # from --listen",
        "retention = \"10d\"  # from retention in p.toml",
        "store = \"sqlite:postrider.db\"  # default",
        "# POSTRIDER_OPERATOR_KEY = ***",
    ] {
        assert!(toml.lines().any(|shown| shown == line), "no {line:?} in:\n{toml}");
    }
    assert!(!toml.contains("hush"));
    let json: Value = serde_json::from_str(&shown(&["--json"])).unwrap();
    assert_eq!(json["retention"], json!({ "value": "10d", "from": "retention in p.toml" }));
    assert!(!site.path("postrider.db").exists());
    let wrong = site.run(&["serve", "--print-config", "--retention", "1d"]);
    let (code, stderr) = code_and_stderr(&wrong);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--retention") && stderr.contains("100 h"), "{stderr}");
}

#[test]
fn completions_are_made_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = postrider(&["completions", shell]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stdout).unwrap().contains("print-config"), "{shell}");
    }
    let (code, stderr) = code_and_stderr(&postrider(&["completions", "tcsh"]).output().unwrap());
    assert_eq!(code, Some(2));
    assert!(stderr.contains("bash"), "{stderr}");
}

#[test]
fn the_log_looks_as_it_is_told_to() {
    let line = |format: &str| {
        let site = Site::new();
        let output = site.run(&[
            "serve",
            "--dev",
            "--log-format",
            format,
            "--listen",
            "127.0.0.1:0",
            "--store",
            "sqlite:no/such/p.db",
        ]);
        String::from_utf8(output.stderr).unwrap()
    };
    let is_json = |text: &str| {
        text.lines()
            .any(|line| serde_json::from_str::<Value>(line).is_ok_and(|line| line["level"] == "WARN"))
    };
    assert!(is_json(&line("json")) && is_json(&line("auto")));
    let human = line("human");
    assert!(!is_json(&human) && human.contains("WARN") && !human.contains('\u{1b}'), "{human}");
}

#[test]
fn the_description_of_the_api_is_printed() {
    for args in [&["openapi"][..], &["openapi", "--json"]] {
        let output = postrider(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(printed["openapi"].as_str().unwrap().starts_with("3.1"));
        for (method, path) in [("post", "/events"), ("put", "/webhooks/{id}"), ("get", "/accounts/{id}/keys")] {
            assert!(printed["paths"][path][method].is_object(), "{method} {path}");
        }
    }
}

#[test]
fn each_command_that_is_more_than_a_word_has_examples() {
    for command in [
        "serve",
        "dev",
        "bench",
        "accounts",
        "keys",
        "verify",
        "trigger",
        "listen",
        "backup",
        "openapi",
        "completions",
    ] {
        let output = postrider(&[command, "--help"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}");
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(
            help.contains("Examples:") && help.contains(&format!("postrider {command}")),
            "{command}"
        );
        assert!(!help.contains('\u{1b}'), "colours in a pipe: {command}");
    }
}
