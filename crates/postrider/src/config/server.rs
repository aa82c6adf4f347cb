//! What commands are told that speak to a server: by flags, or by the environment.

use super::layers::{Layers, Origin};
use super::{ConfigError, Settings};
use crate::cli::ServerFlags;
use crate::client::{ServerUrl, Target};
use crate::commands::{Source, text};

const SERVER_DEFAULT: &str = "http://127.0.0.1:8080";

impl ServerFlags {
    /// The server, the key and the account, where one is named.
    ///
    /// # Errors
    /// `ConfigError` says what is wrong where; `WrongUsage` where a key cannot be read.
    pub(crate) fn target(&self, account: Option<&str>, environment: impl IntoIterator<Item = (String, String)>) -> anyhow::Result<Target> {
        let mut layers = Layers::default();
        layers.add_flags([
            ("server", self.server.clone()),
            ("key", self.key.as_ref().map(|key| key.0.clone())),
            ("account", account.map(str::to_owned)),
            ("ca_file", self.ca_file.clone()),
        ]);
        layers.add_environment(environment)?;
        let mut setting = Settings(&mut layers);
        let server: ServerUrl = setting.or("server", SERVER_DEFAULT, str::parse)?;
        let ca_pem = setting.file("ca_file")?;
        let account = setting.get("account", header_text)?;
        let key = layers.take("key").ok_or(ConfigError::Missing {
            what: "key",
            how: "give --key @FILE or --key -, or set POSTRIDER_KEY to its token",
        })?;
        // A variable is no command line: what stands in it is the token itself.
        let token = match key.origin {
            Origin::Flag(_) => text(&Source::of(&key.text), "--key")?.trim().to_owned(),
            _ => key.text.trim().to_owned(),
        };
        let token = header_text(&token).map_err(|problem| ConfigError::bad(&key.origin, problem))?;
        Ok(Target {
            server,
            token,
            account,
            ca_pem,
        })
    }
}

/// What can stand in a header.
fn header_text(text: &str) -> Result<String, String> {
    let can_stand = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    can_stand
        .then(|| text.to_owned())
        .ok_or_else(|| "must be visible ASCII characters".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Hidden;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn problem(flags: &ServerFlags, environment: &[(&str, &str)]) -> String {
        match flags.target(None, variables(environment)) {
            Ok(_) => panic!("it was taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_flag_beats_the_environment_and_the_server_has_a_default() {
        let environment = || variables(&[("POSTRIDER_KEY", "from-env"), ("POSTRIDER_ACCOUNT", "acc_env")]);
        let target = ServerFlags::default().target(None, environment()).unwrap();
        assert_eq!(target.server.to_string(), "http://127.0.0.1:8080");
        assert_eq!((target.token.as_str(), target.account.as_deref()), ("from-env", Some("acc_env")));
        let flags = ServerFlags {
            server: Some("https://example.com".to_owned()),
            key: Some(Hidden("from-flag".to_owned())),
            ca_file: None,
        };
        let target = flags.target(Some("shop-17"), environment()).unwrap();
        assert_eq!(target.server.to_string(), "https://example.com");
        assert_eq!((target.token.as_str(), target.account.as_deref()), ("from-flag", Some("shop-17")));
    }

    #[test]
    fn what_is_wrong_is_named_and_a_key_never_shown() {
        let none = ServerFlags::default();
        assert!(problem(&none, &[]).contains("POSTRIDER_KEY"));
        assert!(problem(&none, &[("POSTRIDER_KEY", "k"), ("POSTRIDER_SERVER", "nowhere")]).starts_with("POSTRIDER_SERVER: "));
        assert!(problem(&none, &[("POSTRIDER_KEYY", "k")]).contains("POSTRIDER_KEYY"));
        let hush = problem(&none, &[("POSTRIDER_KEY", "hush\nhush")]);
        assert!(hush.starts_with("POSTRIDER_KEY: ") && !hush.contains("hush"), "{hush}");
    }
}
