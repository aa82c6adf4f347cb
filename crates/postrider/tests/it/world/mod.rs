//! A world to test in: servers as processes, a client, a receiver. All waits end with what they wait for, or fail after a minute.

mod client;
mod http;
mod load;
mod receiver;
mod relay;
mod server;
mod store;

pub(crate) use self::http::read as read_http;
pub(crate) use self::store::Store;
pub(crate) use client::{Account, Answer, Client};
pub(crate) use load::{Addresses, Load, assert_all_succeed, assert_own_ids_once};
pub(crate) use receiver::{Arrival, Receiver};
pub(crate) use relay::{Captured, Relay};
pub(crate) use server::{OPERATOR_KEY, Server, Site, postrider};

use std::time::Duration;

/// What takes longer is broken. Far above what anything takes here, so that a slow machine does not matter.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
