//! The documents that are generated from the code are those that the code generates.
//!
//! `make docs` (or `UPDATE_DOCS=1`) rewrites them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares a file with what it should be, or rewrites it.
fn agree(name: &str, wanted: &str) {
    let path = file(name);
    if fs::read_to_string(&path).unwrap_or_default() == wanted {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, wanted).unwrap();
    } else {
        panic!("{name} is not what the code says; run `make docs` and look at the difference");
    }
}

/// Compares the generated part of a page, between its two marks.
fn part_agrees(name: &str, mark: &str, wanted: &str) {
    let text = fs::read_to_string(file(name)).unwrap();
    let start = format!("<!-- generated: {mark} -->\n");
    let (before, rest) = text.split_once(&start).expect("the page has a generated part");
    let (_, after) = rest.split_once("<!-- end -->").expect("the generated part ends");
    agree(name, &format!("{before}{start}{wanted}<!-- end -->{after}"));
}

#[test]
fn the_configuration_page_lists_the_settings_of_the_code() {
    part_agrees("docs/configuration.md", "settings", &countersign::config::table());
}

#[test]
fn the_error_page_lists_the_codes_of_the_code() {
    part_agrees("docs/errors.md", "errors", &countersign::openapi::errors_table());
}

#[test]
fn the_command_line_page_is_the_help_of_the_program() {
    part_agrees("docs/cli.md", "commands", &countersign::cli::manual());
}

#[test]
fn the_committed_api_description_is_the_one_that_is_served() {
    agree("openapi.json", &countersign::openapi::document().unwrap());
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let methods = ["get", "post", "put", "patch", "delete"];
    paths
        .iter()
        .flat_map(|(path, item)| methods.map(|method| (format!("{method} {path}"), &item[method])))
        .filter(|(_, operation)| !operation.is_null())
        .collect()
}

#[test]
fn every_operation_says_what_it_does_under_a_name_of_its_own() {
    let document: Value = serde_json::from_str(&countersign::openapi::document().unwrap()).unwrap();
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for (operation, says) in operations(&document) {
        if !names.insert(says["operationId"].as_str().unwrap_or_default().to_owned()) {
            wrong.push(format!("{operation}: the operation_id {} is taken", says["operationId"]));
        }
        if says["summary"].as_str().is_none_or(str::is_empty) {
            wrong.push(format!("{operation}: no summary"));
        }
        if says["tags"].as_array().is_none_or(|tags| tags.len() != 1) {
            wrong.push(format!("{operation}: it needs one tag, and has {}", says["tags"]));
        }
        let answers = says["responses"].as_object().unwrap();
        if !answers.keys().any(|status| status.starts_with('2')) {
            wrong.push(format!("{operation}: no answer for when it goes well"));
        }
        if !answers.contains_key("500") {
            wrong.push(format!("{operation}: the refusals are not described"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_reference_in_the_api_description_leads_somewhere() {
    fn visit(value: &Value, document: &Value, lost: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(target) = fields.get("$ref").and_then(Value::as_str)
                    && document.pointer(target.trim_start_matches('#')).is_none()
                {
                    lost.insert(target.to_owned());
                }
                fields.values().for_each(|field| visit(field, document, lost));
            }
            Value::Array(items) => items.iter().for_each(|item| visit(item, document, lost)),
            _ => (),
        }
    }
    let document: Value = serde_json::from_str(&countersign::openapi::document().unwrap()).unwrap();
    let mut lost = BTreeSet::new();
    visit(&document, &document, &mut lost);
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn no_two_schemas_of_the_api_share_a_name() {
    let mut declared: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for (path, text) in crate::house::sources() {
        let mut described = false;
        for line in text.lines().map(str::trim) {
            described |= line.starts_with("text_enum!") || (line.starts_with("#[derive") && line.contains("ToSchema"));
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
            if described && words.any(|word| word == "struct" || word == "enum") {
                let name = words.next().filter(|name| name.starts_with(char::is_uppercase));
                declared.entry(name.unwrap_or_default().to_owned()).or_default().push(path.clone());
                described = false;
            }
        }
    }
    declared.remove(""); // What macros declare has its name from elsewhere.
    // The description would silently show one of them in both places.
    let twice: Vec<_> = declared.iter().filter(|(_, files)| files.len() > 1).collect();
    assert!(declared.len() > 50 && twice.is_empty(), "give these types names of their own: {twice:#?}");
}
