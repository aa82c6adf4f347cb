//! Configuration as a whole.

use std::collections::BTreeSet;
use std::fs;

use clap::CommandFactory as _;

use super::*;
use crate::cli::{Hidden, StoreFlags};

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn problem(flags: ServeFlags, environment: &[(&str, &str)]) -> String {
    match ServeConfig::load(flags, variables(environment)) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn nothing_given_is_the_contracts_defaults() {
    let config = ServeConfig::load(ServeFlags::default(), Vec::new()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.store.url, StoreUrl::Sqlite(PathBuf::from("postrider.db")));
    assert_eq!(config.synchronous, Synchronous::Full);
    assert_eq!(config.webhooks_per_account, 1_000);
    assert_eq!(config.retry_schedule, RetrySchedule::default());
    assert_eq!(config.retention, postrider_model::limits::RETENTION_DEFAULT);
    assert_eq!(config.webhooks_per_account, postrider_model::limits::WEBHOOKS_PER_ACCOUNT_MAX);
    let lanes = postrider_lanes::LanesConfig::default();
    assert_eq!(
        (config.in_flight_max, config.memory_bytes_max),
        (lanes.in_flight_max, lanes.memory_bytes_max)
    );
    assert_eq!(
        (config.log.as_str(), config.log_format, config.metrics),
        ("info", LogFormat::Auto, MetricsAccess::Open)
    );
    assert!(!config.dev && config.operator_keys.is_empty() && config.store.seal.is_none());
}

#[test]
fn the_file_of_the_environment_is_read_and_its_settings_are_the_weakest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.toml");
    fs::write(
        &file,
        "listen = \"127.0.0.1:1\"\nwebhooks_per_account = 7\ndev = true\nretry_schedule = \"1s\"",
    )
    .unwrap();
    let flags = ServeFlags {
        listen: Some("127.0.0.1:3".to_owned()),
        ..ServeFlags::default()
    };
    let environment = variables(&[
        ("POSTRIDER_CONFIG", file.to_str().unwrap()),
        ("POSTRIDER_WEBHOOKS_PER_ACCOUNT", "8"),
    ]);
    let config = ServeConfig::load(flags, environment).unwrap();
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.webhooks_per_account, 8);
    assert!(config.dev);
    assert_eq!(config.retry_schedule.attempts(), 2);
}

#[test]
fn a_wrong_value_is_told_with_its_place() {
    let flags = ServeFlags {
        retry_schedule: Some("soon".to_owned()),
        ..ServeFlags::default()
    };
    assert!(problem(flags, &[]).starts_with("--retry-schedule: "));
    assert!(problem(ServeFlags::default(), &[("POSTRIDER_LISTEN", "x")]).starts_with("POSTRIDER_LISTEN: "));
    assert!(problem(ServeFlags::default(), &[("POSTRIDER_LOG", "=,=")]).starts_with("POSTRIDER_LOG: "));
    assert!(problem(ServeFlags::default(), &[("POSTRIDER_CA_FILE", "/nowhere.pem")]).contains("/nowhere.pem"));
    assert!(problem(ServeFlags::default(), &[("POSTRIDER_CONFIG", "/nowhere.toml")]).contains("/nowhere.toml"));
}

#[test]
fn secrets_are_never_in_a_message() {
    let short = problem(ServeFlags::default(), &[("POSTRIDER_OPERATOR_KEY", "hush")]);
    let no_base64 = problem(ServeFlags::default(), &[("POSTRIDER_SECRET_KEY", "hush")]);
    assert!(short.starts_with("POSTRIDER_OPERATOR_KEY: ") && !short.contains("hush"), "{short}");
    assert!(
        no_base64.starts_with("POSTRIDER_SECRET_KEY: ") && !no_base64.contains("hush"),
        "{no_base64}"
    );
}

#[test]
fn the_secret_key_comes_from_one_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    fs::write(&file, format!("{key}\n")).unwrap();
    let flags = || StoreFlags {
        secret_key_file: Some(file.display().to_string()),
        ..StoreFlags::default()
    };
    let store = StoreConfig::load(flags(), None, Vec::new()).unwrap();
    assert!(store.seal.is_some());
    assert!(!format!("{store:?}").contains("AAAA"));
    let both = StoreConfig::load(flags(), None, variables(&[("POSTRIDER_SECRET_KEY", key)])).unwrap_err();
    assert!(matches!(both, ConfigError::Both(..)), "{both}");
}

#[test]
fn every_flag_is_a_setting_of_file_and_environment_and_the_other_way_round() {
    const NO_SETTINGS: [&str; 4] = ["config", "json", "print_config", "stop_with_stdin"];
    let cli = crate::cli::Cli::command();
    let serve = cli.find_subcommand("serve").unwrap();
    let flags = serve.get_arguments().map(|flag| flag.get_id().as_str());
    let flags: BTreeSet<&str> = flags.filter(|flag| !NO_SETTINGS.contains(flag)).collect();
    assert_eq!(flags, SETTINGS.iter().map(|setting| setting.key).collect());
    let taken: BTreeSet<&str> = ServeFlags::default().into_pairs().into_iter().map(|(key, _)| key).collect();
    assert_eq!(flags, taken);
}

#[test]
fn the_retention_goes_beyond_the_schedule() {
    let flags = || ServeFlags {
        retention: Some("4d".to_owned()),
        ..ServeFlags::default()
    };
    assert!(problem(flags(), &[]).starts_with("--retention: must be longer"));
    let short = variables(&[("POSTRIDER_RETRY_SCHEDULE", "5s,1h")]);
    assert_eq!(
        ServeConfig::load(flags(), short).unwrap().retention,
        Duration::from_secs(4 * 86_400)
    );
    let long = problem(ServeFlags::default(), &[("POSTRIDER_RETRY_SCHEDULE", "20d,20d")]);
    assert!(long.starts_with("--retention: "), "{long}");
}

#[test]
fn each_wrong_value_of_a_new_setting_is_named() {
    for variable in [
        "POSTRIDER_RETENTION",
        "POSTRIDER_DOCS_URL",
        "POSTRIDER_LOG_FORMAT",
        "POSTRIDER_METRICS",
    ] {
        let problem = problem(ServeFlags::default(), &[(variable, "nonsense")]);
        assert!(problem.starts_with(&format!("{variable}: must be ")), "{problem}");
    }
}

#[test]
fn what_is_shown_says_where_it_is_from_can_be_read_again_and_holds_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.toml");
    fs::write(&file, "webhooks_per_account = 7\nallow_network = [\"10.0.0.0/8\", \"fd00::/8\"]\n").unwrap();
    let flags = ServeFlags {
        config: Some(file.display().to_string()),
        listen: Some("127.0.0.1:3".to_owned()),
        ..ServeFlags::default()
    };
    let hush = "hush".repeat(10);
    let environment = variables(&[("POSTRIDER_DEV", "true"), ("POSTRIDER_OPERATOR_KEY", &hush)]);
    let shown = Shown::load(flags, environment).unwrap();
    let text = shown.to_toml();
    for line in [
        "listen = \"127.0.0.1:3\"  # from --listen".to_owned(),
        format!("webhooks_per_account = 7  # from webhooks_per_account in {}", file.display()),
        "dev = true  # from POSTRIDER_DEV".to_owned(),
        "retention = \"30d\"  # default".to_owned(),
        "# public_url is not set".to_owned(),
        "# POSTRIDER_OPERATOR_KEY = ***".to_owned(),
        "# POSTRIDER_SECRET_KEY is not set".to_owned(),
    ] {
        assert!(text.lines().any(|shown| shown == line), "no {line:?} in:\n{text}");
    }
    assert!(!text.contains("hush") && !shown.to_json().to_string().contains("hush"));
    assert_eq!(shown.to_json()["webhooks_per_account"]["value"], 7);
    fs::write(&file, &text).unwrap();
    let again = ServeFlags {
        config: Some(file.display().to_string()),
        ..ServeFlags::default()
    };
    let again = ServeConfig::load(again, Vec::new()).unwrap();
    assert_eq!((again.listen.port(), again.webhooks_per_account, again.dev), (3, 7, true));
    assert_eq!(again.allow_networks.len(), 2);
}

#[test]
fn the_help_of_each_flag_says_its_default() {
    let cli = crate::cli::Cli::command();
    let serve = cli.find_subcommand("serve").unwrap();
    for setting in SETTINGS {
        let flag = serve.get_arguments().find(|flag| flag.get_id() == setting.key).unwrap();
        let help = flag.get_long_help().or_else(|| flag.get_help()).unwrap().to_string();
        if let Some(default) = setting.default.filter(|default| *default != "false") {
            assert!(help.contains(&format!("[default: {default}")), "{}: {help}", setting.key);
        }
    }
}

fn on_postgres(flags: ServeFlags) -> ServeFlags {
    let store = StoreFlags {
        store: Some(Hidden("postgres://me:hush@h/d".to_owned())),
        secret_key_file: None,
    };
    ServeFlags { store, ..flags }
}

#[test]
fn a_database_needs_a_key_unless_it_is_only_tried_out() {
    let missing = problem(on_postgres(ServeFlags::default()), &[]);
    assert!(
        missing.starts_with("no secret key is given: ") && missing.contains("POSTRIDER_SECRET_KEY"),
        "{missing}"
    );
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert!(ServeConfig::load(on_postgres(ServeFlags::default()), variables(&[("POSTRIDER_SECRET_KEY", key)])).is_ok());
    let dev = ServeConfig::load(on_postgres(ServeFlags::default()), variables(&[("POSTRIDER_DEV", "true")])).unwrap();
    assert!(dev.store.seal.is_some());
    assert!(!format!("{:?} {}", dev.store, dev.store.url).contains("hush"));
}

#[test]
fn a_node_of_one_duty_needs_a_database() {
    let flags = || ServeFlags {
        only: Some("api".to_owned()),
        ..ServeFlags::default()
    };
    let error = problem(flags(), &[]);
    assert!(error.starts_with("--only: ") && error.contains("PostgreSQL"), "{error}");
    let config = ServeConfig::load(on_postgres(flags()), variables(&[("POSTRIDER_DEV", "1")])).unwrap();
    assert_eq!((config.roles.api, config.roles.dispatch), (true, false));
}

#[test]
fn what_is_shown_of_a_store_holds_no_password() {
    let flags = on_postgres(ServeFlags::default());
    assert!(!format!("{flags:?}").contains("hush"));
    let shown = Shown::load(flags, variables(&[("POSTRIDER_DEV", "true")])).unwrap();
    assert!(shown.to_toml().contains("store = \"postgres://me:***@h/d\""), "{}", shown.to_toml());
    assert!(!shown.to_json().to_string().contains("hush"));
}
