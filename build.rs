//! Has the linker make the release binary small.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).as_deref() == Ok(value);
    let gnu_linux = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    // The addresses that a position-independent program has moved at its start, 2 MB of them, packed. Whoever loads it
    // must know the packing: glibc from 2.36 on does.
    if is("PROFILE", "release") && gnu_linux && is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
