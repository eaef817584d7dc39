//! The user interface is built by its own tools. Without it `gangway ui` has nothing to show, but
//! everything else compiles and works.

use std::path::Path;

fn main() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/dist");
    if let Err(error) = std::fs::create_dir_all(&pages) {
        println!("cargo:warning={}: {error}", pages.display());
    }
    println!("cargo:rerun-if-changed=../../ui/dist");
}
