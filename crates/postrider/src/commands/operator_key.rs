//! `postrider keys create --operator` on the server's own store, whether a server runs on it or not.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::Context as _;
use postrider_model::id::KeyId;
use postrider_model::key::{Key, KeyOwner, Scopes, TokenHash};
use postrider_model::limits::LABEL_CHARS_MAX;
use postrider_ports::{Clock, Random};
use postrider_store_sqlite::Role;
use serde_json::json;

use super::serve::environment;
use crate::cli::{KeysCreateCommand, WrongUsage};
use crate::clock::SystemClock;
use crate::config::{StoreConfig, Synchronous};
use crate::random::{OsRandom, new_operator_token};
use crate::store::{Opened, Opening};

/// Makes a key of the operator's.
///
/// # Errors
/// Where the configuration is wrong, or the store cannot be opened or written.
pub(super) async fn create(command: KeysCreateCommand) -> anyhow::Result<()> {
    if command.scopes.is_some() || command.expires_at.is_some() {
        return Err(WrongUsage("--scopes and --expires-at go over the API: say which --server and with which --key".to_owned()).into());
    }
    let name = command.name.unwrap_or_else(|| "operator".to_owned());
    let name_chars = name.chars().count();
    anyhow::ensure!(
        (1..=LABEL_CHARS_MAX).contains(&name_chars),
        "a name has 1 to {LABEL_CHARS_MAX} characters"
    );
    let config = StoreConfig::load(command.store, command.config, environment())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(OsRandom::new()?);
    let opening = Opening {
        role: Role::Command,
        synchronous: Synchronous::Full,
        connections_max: None,
        clock: &clock,
        random: &random,
    };
    let Opened { store, .. } = opening.open(config).await?;
    let token = new_operator_token(&*random);
    let now = clock.wall();
    let key = Key {
        id: KeyId::new(now, random.bits()),
        owner: KeyOwner::Operator,
        name,
        hint: token.hint(),
        scopes: Scopes::of_operator(),
        created_at: now,
        expires_at: None,
        last_used_at: None,
    };
    store.create_key(key.clone(), TokenHash::of(token.reveal())).await?;
    let line = if command.json {
        json!({ "id": key.id, "name": key.name, "token": token.reveal() }).to_string()
    } else {
        token.reveal().to_owned()
    };
    eprintln!("operator key {} made; its token is shown this once:", key.id);
    writeln!(std::io::stdout(), "{line}").context("cannot print the token")
}
