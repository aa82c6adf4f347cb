//! Whether what is written is on a disk: where it is not, a commit waits for nothing, and what is measured is of no disk.

use std::path::Path;

/// How Linux numbers tmpfs, the file system that is memory (statfs(2)).
#[cfg(target_os = "linux")]
const TMPFS: rustix::fs::FsWord = 0x0102_1994;

/// Whether this file or folder is in memory. Where that cannot be told it is taken for one on a disk.
#[cfg(target_os = "linux")]
pub(super) fn is_in_memory(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| found.f_type == TMPFS)
}

/// Linux alone is asked.
#[cfg(not(target_os = "linux"))]
pub(super) const fn is_in_memory(_: &Path) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_from_what_is_not() {
        assert!(is_in_memory(Path::new("/dev/shm")));
        assert!(!is_in_memory(Path::new("/proc/self")));
        assert!(!is_in_memory(Path::new("/no/such/folder")));
    }
}
