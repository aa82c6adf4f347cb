//! Plain types of Postrider: account, key, event, webhook, delivery, attempt, ids, secrets, urls,
//! addresses and signatures. No I/O, no clock, no async, no log: what needs one of those is told it.

pub mod account;
pub mod address;
pub mod attempt;
pub mod delivery;
pub mod event;
pub mod health;
pub mod id;
pub mod job;
pub mod json;
pub mod key;
pub mod limits;
pub mod name;
pub mod queue;
pub mod seal;
pub mod secret;
pub mod signature;
pub mod slot;
pub mod time;
pub mod url;
pub mod webhook;
