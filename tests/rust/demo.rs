//! `cargo xtask app --demo`: plays the main job and prints each step with its time.

use anyhow::Result;
use tests::home::Home;
use tests::{journey, repository};

#[tokio::main]
async fn main() -> Result<()> {
    println!("A home of its own, a virtual display, a session bus, an unlocked keyring …");
    let home = Home::desktop()?;
    println!("The main job, through the app:");
    let pictures = repository::root().join("target/screenshots/demo");
    journey::main_job(&home, pictures, &mut |step| {
        println!(
            "{:>7.2} s  {}\n           {}",
            step.took.as_secs_f64(),
            step.name,
            step.picture.display()
        );
    })
    .await
}
