//! The committed inputs of the fuzz targets, for the ordinary tests to replay: so that neither they nor the targets rot.

use std::fs;
use std::path::Path;

/// Gives every file of `fuzz/seeds/TARGET` to `check`, which asserts what has to hold of any input.
///
/// # Panics
/// Where there is no such folder, or less than one file in it.
#[allow(
    clippy::expect_used,
    clippy::panic,
    reason = "only tests use it: seeds that cannot be read are a failed test"
)]
pub fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for file in files {
        let path = file.expect("an entry of the folder").path();
        // Shown where the check below fails.
        println!("{}", path.display());
        check(&fs::read(&path).expect("a seed"));
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}
