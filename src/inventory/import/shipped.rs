//! The mappings that come with the product, by the name of their file.

/// The mappings of `docs/mappings`, built in.
#[derive(rust_embed::RustEmbed)]
#[folder = "docs/mappings"]
struct Files;

/// The names of the mappings, without the ending.
#[must_use]
pub fn names() -> Vec<String> {
    let mut names: Vec<String> =
        Files::iter().filter_map(|file| file.strip_suffix(".toml").map(str::to_owned)).collect();
    names.sort();
    names
}

/// The text of a mapping; none if no mapping that comes with the product has this name.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    String::from_utf8(Files::get(&format!("{name}.toml"))?.data.into_owned()).ok()
}
