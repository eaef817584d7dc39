//! Compiles the Tauri context; capabilities and permissions live beside the shell, not in the root.

fn main() {
    // With patterns of our own, tauri-build does not tell cargo what it has read.
    println!("cargo:rerun-if-changed=src-tauri/app/capabilities");
    println!("cargo:rerun-if-changed=src-tauri/app/permissions");
    let manifest =
        tauri_build::AppManifest::new().permissions_path_pattern("src-tauri/app/permissions/**/*");
    let attributes = tauri_build::Attributes::new()
        .app_manifest(manifest)
        .capabilities_path_pattern("src-tauri/app/capabilities/**/*");
    if let Err(error) = tauri_build::try_build(attributes) {
        eprintln!("{error:#}");
        std::process::exit(1);
    }
}
