//! `countersign openapi`.

/// Prints the API's description.
pub fn run() -> anyhow::Result<()> {
    println!("{}", crate::openapi::document()?);
    Ok(())
}
