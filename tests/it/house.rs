//! What holds for the whole house, whatever is added to it: nobody gets in without signing in, areas
//! call one another only in order, both databases have the same schema, lists never scan.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use axum::http::Method;
use countersign::db::Query;

use crate::both;

/// What anybody may ask for.
const PUBLIC: &[&str] =
    &["/sign-in", "/healthz", "/readyz", "/metrics", "/static/{*path}", "/favicon.ico", "/openapi.json"];

both! {
    async fn the_probes_answer_anybody(t: T) {
        for probe in ["/healthz", "/readyz", "/metrics"] {
            t.anonymous(Method::GET, probe).await.ok();
        }
    }

    async fn what_is_made_in_sentences_is_there(t: T) {
        let anna = t.person("Anna").await;
        let uk = t.region("UK").requires_approval().await;
        let us = t.region("US").await;
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk, &us]).await;
        let version = model.version("2.0").planned("2026-04-30").approved().await;
        assert_eq!(version.number, "2.0");
        assert!(version.request.is_some());
        assert_eq!(t.number("SELECT COUNT(*) FROM version_targets").await, 2);
        anna.get("/api/v1/no-such-address").await.refused(404, "not_found");
        anna.page("/no-such-page").await.expect(404);
        t.everything_holds().await;
    }

    async fn every_operation_of_the_api_is_refused_to_a_stranger(t: T) {
        let document = t.anonymous(Method::GET, "/api/v1/openapi.json").await.ok().json();
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.len() > 20, "the document describes only {} paths", paths.len());
        for (path, item) in paths {
            let path = if path.starts_with("/api/v1") { path.clone() } else { format!("/api/v1{path}") };
            for method in item.as_object().unwrap().keys().filter_map(|key| key.to_uppercase().parse::<Method>().ok()) {
                if !matches!(method, Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE) {
                    continue;
                }
                let address = with_numbers(&path);
                let bare = t.anonymous(method.clone(), &address).await;
                assert_eq!(bare.status(), 401, "{method} {address} to a stranger: {}", bare.text());
                let wrong = t.anonymous(method.clone(), &address).header("authorization", "Bearer nobody")
                    .body("application/json", "{}").await;
                assert_eq!(wrong.status(), 401, "{method} {address} with an unknown token: {}", wrong.text());
            }
        }
    }

    async fn every_page_sends_a_stranger_to_sign_in(t: T) {
        let routes = page_routes();
        assert!(routes.len() > 5, "found only {routes:?}");
        for (path, method) in routes {
            if PUBLIC.contains(&path.as_str()) || path == "/live" {
                continue;
            }
            let address = with_numbers(&path);
            let answer = t.anonymous(method.clone(), &address).body("application/x-www-form-urlencoded", "").await;
            let to = answer.header("location");
            assert!(
                answer.status() == 401 || (answer.status() == 303 && to.starts_with("/sign-in")),
                "{method} {address} answers a stranger {} {to}",
                answer.status()
            );
        }
        assert_eq!(t.anonymous(Method::GET, "/live").await.status(), 401);
    }
}

/// A path with 1 for every parameter.
fn with_numbers(path: &str) -> String {
    let part = |part: &str| if part.starts_with('{') { "1".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Every `.route("…", get(…).post(…))` that stands in the source, with each of its methods.
fn page_routes() -> Vec<(String, Method)> {
    let mut routes = Vec::new();
    for (_, text) in sources() {
        for rest in text.split(".route(").skip(1) {
            let Some((path, rest)) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')) else {
                continue;
            };
            let handlers = &rest[..closing(rest)];
            for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                let called = format!("{}(", method.as_str().to_lowercase());
                let word = |at: usize| !handlers[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                if handlers.match_indices(&called).any(|(at, _)| word(at)) {
                    routes.push((path.to_owned(), method));
                }
            }
        }
    }
    routes
}

/// Where the parenthesis closes in which `text` starts.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => (),
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The source files of the product, without those of tests, and their text without comments.
pub fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    let text = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
    };
    files.into_iter().map(|file| (file.strip_prefix(&root).unwrap().to_owned(), text(&file))).collect()
}

/// The modules of `src/lib.rs`, group by group.
fn map() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let module = |line: &str| line.strip_prefix("pub mod ").map(|rest| rest.trim_end_matches(';').to_owned());
    text.split("\n\n")
        .map(|group| group.lines().filter_map(module).collect::<Vec<_>>())
        .filter(|group| !group.is_empty())
        .collect()
}

/// The modules that a text names after `crate::`, one at a time or in braces.
fn named_modules(text: &str) -> BTreeSet<String> {
    let word = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        match rest.strip_prefix('{').and_then(|rest| rest.split_once("};")) {
            Some((list, _)) => names.extend(list.split(',').map(word)),
            None => drop(names.insert(word(rest))),
        }
    }
    names
}

#[test]
fn areas_call_one_another_only_in_order_and_never_in_circles() {
    let groups = map();
    let group_of = |module: &str| groups.iter().position(|group| group.iter().any(|one| one == module));
    let mut calls = BTreeSet::new();
    for (file, text) in sources() {
        let first = file.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let area = first.trim_end_matches(".rs").to_owned();
        let Some(own) = group_of(&area) else { continue };
        for named in named_modules(&text) {
            let Some(other) = group_of(&named).filter(|_| named != area) else { continue };
            // The handle on the running product names the types of its parts; it calls none of them.
            assert!(other <= own || area == "app", "{} calls {named}, which stands below it", file.display());
            calls.insert((area.clone(), named));
        }
        for module in groups.iter().flatten().filter(|module| **module != area) {
            let store = format!("{module}::store");
            assert!(!text.contains(&store), "{} reaches into {store}", file.display());
        }
    }
    // The third group are the areas of the product; among them there is an order.
    let areas = &groups[2];
    let mut left: BTreeSet<&String> = areas.iter().collect();
    while let Some(free) =
        left.iter().find(|area| !calls.iter().any(|(from, to)| from == **area && left.contains(to))).copied()
    {
        left.remove(free);
    }
    assert!(left.is_empty(), "these areas call one another in a circle: {left:?}");
}

#[test]
fn both_databases_have_the_same_migrations_and_tables() {
    let read = |engine: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
        let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        let text: String = files.iter().map(|file| std::fs::read_to_string(folder.join(file)).unwrap()).collect();
        // A column is a name and a type; only the types' names differ.
        let column = |line: &str| {
            let name = line.split_whitespace().next()?;
            let is_column = line.starts_with("    ")
                && !line.starts_with("     ")
                && name.chars().all(|c| c.is_lowercase() || c == '_');
            let is_thing =
                ["CREATE TABLE", "CREATE VIEW", "CREATE INDEX", "CREATE UNIQUE"].iter().any(|it| line.starts_with(it));
            if is_thing { Some(line.to_owned()) } else { is_column.then(|| name.to_owned()) }
        };
        let columns: Vec<String> = text.lines().filter_map(column).collect();
        (files, columns)
    };
    let (sqlite, postgres) = (read("sqlite"), read("postgres"));
    assert_eq!(sqlite.0, postgres.0);
    assert_eq!(sqlite.1, postgres.1);
}

both! {
    async fn migrations_run_again_change_nothing(t: T) {
        let anna = t.person("Anna").await;
        let uk = t.region("UK").await;
        t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await.version("2.0").approved().await;
        t.app().db.migrate().await.unwrap();
        assert_eq!(t.number("SELECT COUNT(*) FROM ready_pairs").await, 1);
        t.everything_holds().await;
    }

    async fn the_ledger_refuses_to_be_changed(t: T) {
        let anna = t.person("Anna").await;
        let uk = t.region("UK").await;
        let version = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await.version("2.0").approved().await;
        version.scheduled_in(&[&uk], "2026-04-30").await;
        for statement in ["UPDATE ledger_entries SET actor = 'Nobody'", "DELETE FROM ledger_entries"] {
            let refused = Query::new(statement).run(&t.app().db).await.unwrap_err();
            assert!(refused.to_string().contains("append-only"), "{refused}");
        }
    }
}
