//! `postrider dev`.

use std::sync::Arc;

use postrider_model::key::TokenHash;
use postrider_ports::Clock;

use super::serve::{Stop, runtime};
use crate::cli::{DevCommand, Hidden, ServeFlags, StoreFlags};
use crate::clock::SystemClock;
use crate::config::ServeConfig;
use crate::dev;
use crate::random::{OsRandom, new_operator_token};
use crate::serve::Server;
use crate::{files, logging};

/// Shows everything work, and stays up unless it is to end at once.
///
/// # Errors
/// The first thing that did not work.
pub(crate) fn execute(command: DevCommand) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("postrider-dev-").tempdir()?;
    let is_kept = command.store.is_some();
    let store = command
        .store
        .unwrap_or_else(|| Hidden(format!("sqlite:{}", folder.path().join("postrider.db").display())));
    let mut config = config(command.listen, store, command.log)?;
    let shown = if is_kept {
        config.store.url.to_string()
    } else {
        "in a temporary folder".to_owned()
    };
    let token = new_operator_token(&OsRandom::new()?);
    config.operator_keys.push(TokenHash::of(token.reveal()));
    logging::start(&config.log, config.log_format)?;
    let handles = files::raise_limit();
    runtime(None)?.block_on(async {
        let mut stop = Stop::new(false)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let server = Server::start(config, handles).await?;
        let done = tokio::select! {
            shown = dev::show(&server, token.reveal(), &shown, &clock) => stay(shown, &server, command.once, &mut stop).await,
            () = stop.wished() => Err(anyhow::anyhow!("interrupted before everything was seen to work")),
        };
        server.stop().await;
        done
    })
}

async fn stay(shown: anyhow::Result<dev::Show>, server: &Server, once: bool, stop: &mut Stop) -> anyhow::Result<()> {
    let mut show = shown?;
    if once {
        dev::tell_end();
        return Ok(());
    }
    show.tell_how_to_go_on(server);
    tokio::select! {
        () = show.watch() => {}
        () = stop.wished() => {}
    }
    Ok(())
}

/// A server for a first try: the environment of a real one is none of its business.
fn config(listen: String, store: Hidden, log: String) -> anyhow::Result<ServeConfig> {
    let flags = ServeFlags {
        listen: Some(listen),
        store: StoreFlags {
            store: Some(store),
            secret_key_file: None,
        },
        dev: Some("true".to_owned()),
        retry_schedule: Some(dev::RETRY_SCHEDULE.to_owned()),
        log: Some(log),
        ..ServeFlags::default()
    };
    Ok(ServeConfig::load(flags, Vec::new())?)
}
