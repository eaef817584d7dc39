//! Writes the TypeScript side of the command table into `ui/src/bridge/generated/`.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = Path::new(commands::bindings::DIRECTORY);
    if directory.exists() {
        std::fs::remove_dir_all(directory)?;
    }
    std::fs::create_dir_all(directory)?;
    commands::bindings::write(directory)?;
    Ok(())
}
