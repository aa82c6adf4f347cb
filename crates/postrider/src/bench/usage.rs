//! What a process or a thread has used, as Linux tells it under /proc. Elsewhere nothing is known, and the report says so.

use std::path::{Path, PathBuf};

/// Clock ticks a second in /proc: `USER_HZ`, which is 100 on every platform that Linux runs on today (proc(5)).
const TICKS_PER_SECOND: u64 = 100;

/// Whose use is read.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    /// Its folder in /proc.
    folder: PathBuf,
    /// The children of this process count too, those that have ended included.
    parent: Option<u32>,
}

impl Usage {
    /// That of a process.
    pub(crate) fn of_process(pid: u32) -> Self {
        Self {
            folder: Path::new("/proc").join(pid.to_string()),
            parent: None,
        }
    }

    /// That of a process and of all its children: PostgreSQL has one for each connection.
    pub(crate) fn of_family(pid: u32) -> Self {
        Self {
            parent: Some(pid),
            ..Self::of_process(pid)
        }
    }

    /// That of the thread that asks.
    pub(crate) fn of_this_thread() -> Self {
        let link = std::fs::read_link("/proc/thread-self").unwrap_or_default();
        Self {
            folder: Path::new("/proc").join(link),
            parent: None,
        }
    }

    /// CPU time in microseconds, of user and kernel, since it began. Exact to 10 ms.
    pub(crate) fn cpu_micros(&self) -> Option<u64> {
        let own = || Times::parse(&std::fs::read_to_string(self.folder.join("stat")).ok()?);
        let Some(parent) = self.parent else {
            return own().map(|times| times.own_micros);
        };
        // Read before their parent, so that it knows of a child that ended in between.
        let children: u64 = children(parent).map(|child| child.own_micros + child.children_micros).sum();
        own().map(|times| times.own_micros + times.children_micros + children)
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
        parse_status(&std::fs::read_to_string(self.folder.join("status")).ok()?, name)
    }
}

/// CPU time of a process.
struct Times {
    parent: u32,
    own_micros: u64,
    /// That of its children which have ended and were waited for.
    children_micros: u64,
}

impl Times {
    /// proc(5): the parent is the 4th field, utime, stime, cutime and cstime are the 14th to 17th; the second, a name, may hold spaces
    /// and ends with a parenthesis.
    fn parse(stat: &str) -> Option<Self> {
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(1);
        let parent = fields.next()?.parse().ok()?;
        let mut ticks = fields.skip(9).map_while(|field| field.parse::<u64>().ok());
        let mut micros = || Some((ticks.next()? + ticks.next()?) * (1_000_000 / TICKS_PER_SECOND));
        Some(Self {
            parent,
            own_micros: micros()?,
            children_micros: micros()?,
        })
    }
}

fn children(parent: u32) -> impl Iterator<Item = Times> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats
        .filter_map(|stat| Times::parse(&stat))
        .filter(move |times| times.parent == parent)
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
        let times = Times::parse("12 (a) b) S 7 2 3 4 5 6 7 8 9 10 250 50 20 30 20 0").unwrap();
        assert_eq!((times.parent, times.own_micros, times.children_micros), (7, 3_000_000, 500_000));
        assert!(Times::parse("12 (a) S 1").is_none());
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

    #[cfg(target_os = "linux")]
    #[test]
    fn a_family_uses_at_least_what_its_parent_does() {
        let (one, family) = (Usage::of_process(std::process::id()), Usage::of_family(std::process::id()));
        assert!(one.cpu_micros().unwrap() <= family.cpu_micros().unwrap());
    }
}
