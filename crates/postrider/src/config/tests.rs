//! Configuration as a whole.

use std::collections::BTreeSet;
use std::fs;

use clap::CommandFactory as _;

use super::*;

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
    const NO_SETTINGS: [&str; 3] = ["config", "json", "stop_with_stdin"];
    let cli = crate::cli::Cli::command();
    let serve = cli.find_subcommand("serve").unwrap();
    let flags = serve.get_arguments().map(|flag| flag.get_id().as_str());
    let flags: BTreeSet<&str> = flags.filter(|flag| !NO_SETTINGS.contains(flag)).collect();
    assert_eq!(flags, layers::SETTINGS.iter().copied().collect());
    let taken: BTreeSet<&str> = ServeFlags::default().into_pairs().into_iter().map(|(key, _)| key).collect();
    assert_eq!(flags, taken);
}
