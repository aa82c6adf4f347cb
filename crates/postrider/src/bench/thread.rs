//! Threads of the bench: each has a runtime of its own, so that what it costs can be told from the rest.

use std::future::Future;
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio::task::LocalSet;

use super::usage::Usage;

/// A thread at work, and what it will come to.
pub(crate) struct Measured<T> {
    /// Its use of CPU.
    pub(crate) usage: Usage,
    thread: JoinHandle<anyhow::Result<T>>,
}

impl<T> Measured<T> {
    /// Waits for its end.
    ///
    /// # Errors
    /// Its own, or that it panicked.
    pub(crate) fn join(self) -> anyhow::Result<T> {
        self.thread.join().map_err(|_| anyhow::anyhow!("a thread of the bench panicked"))?
    }
}

/// Runs a future on a thread of its own.
///
/// # Errors
/// Where the system gives no thread.
pub(crate) fn spawn<T, F>(name: &str, work: impl FnOnce() -> F + Send + 'static) -> anyhow::Result<Measured<T>>
where
    T: Send + 'static,
    F: Future<Output = anyhow::Result<T>>,
{
    let (tell, told) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(format!("bench-{name}")).spawn(move || {
        // The one who asks waits for this, unless it is gone already.
        let _ = tell.send(Usage::of_this_thread());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, work())
    })?;
    let usage = told.recv().context("a thread of the bench did not start")?;
    Ok(Measured { usage, thread })
}
