//! Templates such as `{Name} ({Agency|or:none})`: text with the cells of a row in it.

use sha2::{Digest, Sha256};

use super::{ImportError, one_line};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Cell { column: usize, filters: Vec<Filter> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filter {
    Lower,
    Upper,
    Slug(Option<usize>),
    Or(String),
}

/// Reads a template such as `{Name} ({Agency|or:none})`; `{{` and `}}` are braces. `find` turns a name into a position.
pub(super) fn parse_template(
    template: &str,
    find: impl Fn(&str) -> Result<usize, ImportError>,
) -> Result<Vec<Part>, ImportError> {
    let broken = |message: String| ImportError::mapping("template", message);
    let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), template);
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let (brace, after) = (&rest[at..=at], &rest[at + 1..]);
        if let Some(after_pair) = after.strip_prefix(brace) {
            text.push_str(brace);
            rest = after_pair;
            continue;
        }
        let inner = (brace == "{").then(|| after.split_once('}')).flatten();
        let Some((inner, after)) = inner else {
            return Err(broken(format!(
                "\"{template}\" has a brace without its partner; a brace itself is {{{{ or }}}}."
            )));
        };
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        let mut pieces = inner.split('|');
        let column = find(pieces.next().unwrap_or_default())?;
        let filters = pieces.map(|piece| {
            parse_filter(piece).ok_or_else(|| {
                broken(format!("\"|{piece}\" is none of |lower, |upper, |slug, |slug:N (N from 16) and |or:TEXT."))
            })
        });
        parts.push(Part::Cell { column, filters: filters.collect::<Result<_, _>>()? });
        rest = after;
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

impl Part {
    /// The piece with the cell of a row in it; none if that is blank. `cell` answers none for a blank cell.
    pub fn fill<'a>(&self, cell: impl Fn(usize) -> Option<&'a str>) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Cell { column, filters } => {
                let text = cell(*column).map(one_line).unwrap_or_default();
                Some(filters.iter().fold(text, |text, filter| filter.apply(text))).filter(|text| !text.is_empty())
            }
        }
    }
}

impl Filter {
    fn apply(&self, text: String) -> String {
        match self {
            Self::Lower => text.to_lowercase(),
            Self::Upper => text.to_uppercase(),
            Self::Slug(limit) => slug(&text, *limit),
            Self::Or(other) if text.is_empty() => other.clone(),
            Self::Or(_) => text,
        }
    }
}

/// Reads a filter as it is written; none if there is no such filter.
fn parse_filter(text: &str) -> Option<Filter> {
    match text.trim().split_once(':').unwrap_or((text.trim(), "")) {
        ("lower", "") => Some(Filter::Lower),
        ("upper", "") => Some(Filter::Upper),
        ("slug", "") => Some(Filter::Slug(None)),
        ("slug", limit) => limit.parse().ok().filter(|limit| *limit >= 16).map(|limit| Filter::Slug(Some(limit))),
        ("or", other) if !other.is_empty() => Some(Filter::Or(other.to_owned())),
        _ => None,
    }
}

/// Small letters, digits and single hyphens. What is longer than the limit is cut and ends with six digits of a hash,
/// so that two long texts stay two.
pub(super) fn slug(text: &str, limit: Option<usize>) -> String {
    let mut slug = String::new();
    for c in text.to_lowercase().chars() {
        if c.is_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    match limit {
        Some(limit) if slug.chars().count() > limit => {
            let head: String = slug.chars().take(limit - 7).collect();
            format!("{}-{}", head.trim_end_matches('-'), hash(slug, 6))
        }
        _ => slug.to_owned(),
    }
}

/// The first `digits` hexadecimal digits of the SHA-256 of a text.
pub(super) fn hash(text: &str, digits: usize) -> String {
    let mut hash = hex::encode(Sha256::digest(text.as_bytes()));
    hash.truncate(digits);
    hash
}
