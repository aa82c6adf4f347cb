//! Writes the pages of docs/reference that the command line makes; `cargo run -p xtask -- docs` runs it.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (path, page) in postrider::reference() {
        std::fs::write(root.join(path), page)?;
        println!("wrote {path}");
    }
    Ok(())
}
