//! Python with packages from PyPI, for what people bring along themselves.

use std::path::PathBuf;

use tokio::process::Command;

/// The Python of a virtual environment with the packages of a requirements file, a path in this repository.
pub async fn python(requirements: &str) -> PathBuf {
    let mut command = Command::new("tests/python/venv");
    let made = command.arg(requirements).current_dir(env!("CARGO_MANIFEST_DIR")).output().await.unwrap();
    assert!(made.status.success(), "no Python with {requirements}: {}", String::from_utf8_lossy(&made.stderr));
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim_end())
}
