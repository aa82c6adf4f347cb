//! What a process or a thread has used, as Linux tells it under /proc. Elsewhere nothing is known, and the report says so.

use std::path::{Path, PathBuf};

/// Clock ticks a second in /proc: `USER_HZ`, which is 100 on every platform that Linux runs on today (proc(5)).
const TICKS_PER_SECOND: u64 = 100;

/// Whose use is read.
#[derive(Clone, Debug)]
pub(crate) struct Usage(PathBuf);

impl Usage {
    /// That of a process.
    pub(crate) fn of_process(pid: u32) -> Self {
        Self(Path::new("/proc").join(pid.to_string()))
    }

    /// That of the thread that asks.
    pub(crate) fn of_this_thread() -> Self {
        let link = std::fs::read_link("/proc/thread-self").unwrap_or_default();
        Self(Path::new("/proc").join(link))
    }

    /// CPU time in microseconds, of user and kernel, since it began. Exact to 10 ms.
    pub(crate) fn cpu_micros(&self) -> Option<u64> {
        parse_cpu_micros(&std::fs::read_to_string(self.0.join("stat")).ok()?)
    }

    /// The most memory that it has had at once, in bytes.
    pub(crate) fn rss_peak_bytes(&self) -> Option<u64> {
        self.status("VmHWM:")
    }

    /// The memory that it has now, in bytes.
    pub(crate) fn rss_bytes(&self) -> Option<u64> {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> Option<u64> {
        parse_status(&std::fs::read_to_string(self.0.join("status")).ok()?, name)
    }
}

/// proc(5): utime and stime are the 14th and 15th field; the second, a name, may hold spaces and ends with a parenthesis.
fn parse_cpu_micros(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some((user + kernel) * (1_000_000 / TICKS_PER_SECOND))
}

fn parse_status(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_name_with_spaces_and_parentheses() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0";
        assert_eq!(parse_cpu_micros(stat), Some(3_000_000));
        assert_eq!(parse_cpu_micros("12 (a) S 1"), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n";
        assert_eq!(parse_status(status, "VmHWM:"), Some(2 * 1024 * 1024));
        assert_eq!(parse_status(status, "VmNot:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_memory() {
        assert!(Usage::of_process(std::process::id()).rss_bytes().unwrap() > 0);
        assert!(Usage::of_this_thread().cpu_micros().is_some());
    }
}
