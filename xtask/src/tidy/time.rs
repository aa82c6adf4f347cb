//! Time and chance come through ports, so that tests own them.

use super::{Findings, Place, assert_clean, source};

const BACK_DOORS: [&str; 14] = [
    "Instant::now",
    "SystemTime::now",
    "Utc::now",
    "Timestamp::now",
    "rand::rng",
    "rand::random",
    "thread_rng",
    "OsRng",
    "SystemRandom",
    "tokio::time::sleep",
    "tokio::time::timeout",
    "tokio::time::interval",
    "thread::sleep",
    "time::sleep",
];

/// How far above a call the attribute that excuses it may stand.
const EXCUSE_LINES: usize = 15;

/// The binary puts the real clock in its place, and the testkit the simulated one. Tests and they excuse each call to clippy.
fn may_be_excused(source: &super::Source) -> bool {
    source.place == Place::Tests || source.krate == "postrider" || source.krate == "testkit"
}

#[test]
fn nobody_asks_the_time_or_throws_dice_behind_the_ports() {
    let mut findings = Findings::new();
    for source in source::all().iter().filter(|source| source.krate != "xtask") {
        for (index, code) in source.code.iter().enumerate() {
            let Some(door) = BACK_DOORS.into_iter().find(|door| code.contains(door)) else {
                continue;
            };
            let is_import = code.trim_start().starts_with("use ");
            let is_clippys = !matches!(door, "SystemRandom" | "OsRng" | "thread_rng" | "Utc::now" | "Timestamp::now");
            let above = &source.code[index.saturating_sub(EXCUSE_LINES)..=index];
            let is_excused = above.iter().any(|line| line.contains("clippy::disallowed_methods"));
            if !is_import && !(may_be_excused(source) && (is_excused || !is_clippys)) {
                findings.push(source.finding(index, &format!("{door}: time and chance come from ports::Clock and ports::Random")));
            }
        }
    }
    assert_clean(&findings);
}
