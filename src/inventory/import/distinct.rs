//! Keys and names that are each there once. Both depend on the order of the file only among rows that are otherwise
//! alike, so that a second import of the same file comes to the same.

use std::collections::{HashMap, HashSet};

use super::template::hash;
use super::{MAX_NAME_CHARS, folded, shortened};

/// The longest key that is kept as it reads.
const MAX_KEY_CHARS: usize = 160;

/// The external key of a text: readable as long as it is short, else cut and finished with a hash of the whole.
pub(super) fn key(source: &str, text: &str) -> String {
    let text = folded(text);
    if text.chars().count() <= MAX_KEY_CHARS {
        return format!("{source}:{text}");
    }
    let head: String = text.chars().take(MAX_KEY_CHARS - 17).collect();
    format!("{source}:{head}~{}", hash(&text, 16))
}

/// How often each text stood before it in the list.
pub(super) fn ordinals<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut seen = HashMap::new();
    texts
        .map(|text| {
            let count: &mut usize = seen.entry(text).or_default();
            *count += 1;
            *count - 1
        })
        .collect()
}

/// Makes names distinct, whatever their case: the first keeps its name, the others get a number. No name is longer
/// than the limit.
pub(super) fn number(names: Vec<String>) -> Vec<String> {
    let names: Vec<String> = names.iter().map(|name| shortened(name, MAX_NAME_CHARS)).collect();
    let given: HashSet<String> = names.iter().map(|name| folded(name)).collect();
    let mut taken = HashSet::new();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut distinct = Vec::with_capacity(names.len());
    for name in names {
        let base = folded(&name);
        let mut candidate = name.clone();
        while !taken.insert(folded(&candidate)) {
            let count = counts.entry(base.clone()).or_insert(1);
            // A number must not take a name that the file gives to another row.
            loop {
                *count += 1;
                let suffix = format!(" ({count})");
                candidate = shortened(&name, MAX_NAME_CHARS - suffix.chars().count()) + &suffix;
                if !given.contains(&folded(&candidate)) {
                    break;
                }
            }
        }
        distinct.push(candidate);
    }
    distinct
}
