//! Keeps the release binary small: packs what it carries, and has the linker pack what it moves.

use std::env;
use std::io::Write as _;
use std::path::Path;

/// The data set of the demo.
const DATA: &str = "tests/data/german-credit.csv";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={DATA}");
    pack(Path::new(DATA), &Path::new(&env::var("OUT_DIR")?).join("german-credit.csv.gz"))?;
    let is = |name: &str, value: &str| env::var(name).as_deref() == Ok(value);
    let gnu_linux = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    // The addresses that a position-independent program has moved at its start, 2 MB of them, packed. Whoever loads it
    // must know the packing: glibc from 2.36 on does.
    if is("PROFILE", "release") && gnu_linux && is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    Ok(())
}

/// A tenth of the file, unpacked when somebody makes a demo.
fn pack(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut packer = flate2::write::GzEncoder::new(std::fs::File::create(to)?, flate2::Compression::best());
    packer.write_all(&std::fs::read(from)?)?;
    packer.finish().map(drop)
}
