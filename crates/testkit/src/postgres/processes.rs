//! A server's processes.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// What `/proc` says of a process.
struct Stat {
    /// It has ended, and only nobody has asked how.
    is_zombie: bool,
    parent: u32,
    /// Its own CPU time, in ticks.
    own_ticks: u64,
    /// That of its children which have ended, in ticks.
    ended_ticks: u64,
}

/// A process and its children, as far as they are alive.
pub(super) fn family(first: u32) -> Vec<u32> {
    let family = stats(first).into_iter();
    family.filter(|(_, stat)| !stat.is_zombie).map(|(pid, _)| pid).collect()
}

/// The CPU time of a process and of all its children, those that have ended included.
pub(super) fn cpu_time(first: u32) -> Duration {
    let ticks: u64 = stats(first).iter().map(|(_, stat)| stat.own_ticks + stat.ended_ticks).sum();
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn stats(first: u32) -> Vec<(u32, Stat)> {
    let entries = std::fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let others = pids.filter_map(|pid| Some((pid, stat(pid)?)));
    let children: Vec<_> = others.filter(|(_, stat)| stat.parent == first).collect();
    // Read last, so that it knows of a child that ended in between.
    let first = stat(first).map(|stat| (first, stat));
    first.into_iter().chain(children).collect()
}

/// Kills them all, and returns when they are gone.
pub(super) fn kill(family: &[u32]) {
    let pids = family
        .iter()
        .map(|pid| i32::try_from(*pid).ok().and_then(Pid::from_raw).expect("a process id"));
    let pids: Vec<_> = pids
        .filter_map(|pid| Some((pid, pidfd_open(pid, PidfdFlags::empty()).ok()?)))
        .collect();
    for (pid, _) in &pids {
        // Children end by themselves when the first is gone.
        let _ = kill_process(*pid, Signal::KILL);
    }
    for (_, handle) in &pids {
        while poll(&mut [PollFd::new(handle, PollFlags::IN)], None).is_err() {}
    }
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold blanks.
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks =
        |first: usize| -> Option<u64> { Some(fields.get(first)?.parse::<u64>().ok()? + fields.get(first + 1)?.parse::<u64>().ok()?) };
    Some(Stat {
        is_zombie: *fields.first()? == "Z",
        parent: fields.get(1)?.parse().ok()?,
        own_ticks: ticks(11)?,
        ended_ticks: ticks(13)?,
    })
}
