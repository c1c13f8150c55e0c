//! Every statement is understood by both engines, and none that asks for a page reads a whole table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use axum::http::Method;
use countersign::db::{Engine, Query};
use countersign::identity::Role;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _};

use crate::both;
use crate::harness::T;
use crate::house::sources;

#[allow(dead_code)]
#[path = "../../benches/countersign/seed.rs"]
mod seed;
use seed::{Caller, Sizes};

/// The names that stand for parts of statements: constants, and macros that join literals.
#[derive(Debug)]
struct Names<'a> {
    sources: &'a [(PathBuf, String)],
}

impl Names<'_> {
    /// Where a constant's or macro's value begins: in the same file, or else in any.
    fn defined(&self, file: &Path, start: &str) -> Option<(&Path, &str)> {
        let here = self.sources.iter().filter(|(other, _)| other == file);
        let anywhere = here.chain(self.sources.iter().filter(|(other, _)| other != file));
        anywhere.filter_map(|(file, text)| Some((file.as_path(), text.split_once(start)?.1))).next()
    }

    /// Texts that stand one after the other, with commas between.
    fn joined(&self, file: &Path, mut source: &str) -> Option<String> {
        let mut whole = String::new();
        while !source.trim_start().is_empty() {
            let (part, length) = self.text(file, source.trim_start())?;
            whole += &part;
            source = source.trim_start()[length..].trim_start().trim_start_matches(',');
        }
        Some(whole)
    }

    /// The text that the source begins with, a literal or a name that stands for one, and how long it
    /// stands there.
    fn text(&self, file: &Path, source: &str) -> Option<(String, usize)> {
        if source.starts_with('"') {
            return literal(source);
        }
        let name: String = source.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(argument) = source[name.len()..].strip_prefix("!(") else {
            let (file, value) = self.defined(file, &format!("const {name}: &str ="))?;
            return Some((self.text(file, value.trim_start())?.0, name.len()));
        };
        let argument = &argument[..closing(argument)];
        let length = name.len() + "!()".len() + argument.len();
        if name == "concat" {
            return Some((self.joined(file, argument)?, length));
        }
        let (file, body) = self.defined(file, &format!("macro_rules! {name} {{"))?;
        let (parameters, body) = body.split_once("=> {")?;
        let body = body.trim_start();
        Some(match parameters.split_once('$').and_then(|(_, rest)| rest.split_once(':')) {
            Some((parameter, _)) => {
                let whole = &body[..body.len().min("concat!(".len() + closing(body.strip_prefix("concat!(")?) + 1)];
                (self.text(file, &whole.replace(&format!("${parameter}"), argument))?.0, length)
            }
            None => (self.text(file, body)?.0, length),
        })
    }
}

/// A string literal, as the compiler reads it, and its length in the source.
fn literal(source: &str) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut rest = source.char_indices().skip(1).peekable();
    while let Some((at, c)) = rest.next() {
        match c {
            '"' => return Some((text, at + 1)),
            '\\' => match rest.next()?.1 {
                '\n' => while rest.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                'n' => text.push('\n'),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
    None
}

/// Where the parenthesis closes in which the source starts; those in literals do not count.
fn closing(source: &str) -> usize {
    let (mut depth, mut at) = (1, 0);
    while depth > 0 {
        match source.as_bytes()[at] {
            b'"' => at += literal(&source[at..]).unwrap().1 - 1,
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => (),
        }
        at += 1;
    }
    at - 1
}

/// The statement whose `Query::new(` stands just before: without its optional clauses, and with all of
/// them. Nothing if its text is not all here.
fn statement(names: &Names<'_>, file: &Path, source: &str) -> Option<[String; 2]> {
    let inside = source.trim_start();
    let (mut bare, length) = names.text(file, inside)?;
    let mut full = bare.clone();
    let mut chain = inside[length..].trim_start().trim_start_matches(',').trim_start().strip_prefix(')')?.trim_start();
    let mut bound = 0;
    loop {
        let call = chain.strip_prefix('.')?;
        let name: String = call.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let arguments = call[name.len()..].strip_prefix('(');
        match (name.as_str(), arguments) {
            ("all" | "one" | "optional" | "run", _) => return Some([bare, full]),
            ("bind", Some(_)) => bound += 1,
            ("for_update", Some(_)) => (),
            ("push", Some(arguments)) => {
                let (part, _) = names.text(file, arguments.trim_start())?;
                bare += &part;
                full += &part;
            }
            ("when", Some(arguments)) => {
                bound += 1;
                let (clause, _) = names.text(file, arguments.trim_start())?;
                full += &clause.replace("{}", &format!("${bound}"));
            }
            _ => return None,
        }
        chain = arguments?[closing(arguments?) + 1..].trim_start();
    }
}

/// Has the engine understand a statement, without running it.
async fn prepare(t: &T, statements: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    match t.database_address() {
        None => {
            let file = format!("sqlite://{}", t.folder().join("countersign.db").display());
            let mut connection = sqlx::SqliteConnection::connect(&file).await.unwrap();
            for sql in statements {
                let done = connection.prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await;
                faults.extend(done.err().map(|error| format!("{error}: {sql}")));
            }
        }
        Some(address) => {
            let mut connection = sqlx::PgConnection::connect(&address).await.unwrap();
            for sql in statements {
                let done = connection.prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await;
                // The product says which type an absent value has. That one is missing here is the last
                // thing the engine finds: all else about the statement it has understood by then.
                let error = done.err().filter(|error| !error.to_string().contains("could not determine data type"));
                faults.extend(error.map(|error| format!("{error}: {sql}")));
            }
        }
    }
    faults
}

/// The values worth trying for a parameter of the API, by its schema.
fn values(document: &Value, parameter: &Value) -> Vec<String> {
    let mut schema = &parameter["schema"];
    if let Some(name) = schema["$ref"].as_str() {
        schema = document.pointer(name.trim_start_matches('#')).unwrap();
    }
    let words = |list: &Value| list.as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned).collect();
    match (schema["type"].to_string(), schema["format"].as_str()) {
        _ if schema["enum"].is_array() => words(&schema["enum"]),
        (kind, _) if kind.contains("boolean") => vec!["true".to_owned(), "false".to_owned()],
        (kind, _) if kind.contains("integer") => vec!["1".to_owned()],
        (_, Some("date")) => vec!["2026-03-30".to_owned()],
        _ => vec!["a".to_owned()],
    }
}

both! {
    async fn every_statement_is_understood(t: T) {
        let sources = sources();
        let names = Names { sources: &sources };
        let mut statements = BTreeSet::new();
        let mut composed = Vec::new();
        for (file, text) in sources.iter().filter(|(file, _)| !file.starts_with("db") && !file.ends_with("db.rs")) {
            for source in text.split("Query::new(").skip(1) {
                match statement(&names, file, source) {
                    Some(texts) => statements.extend(texts),
                    None => composed.push(format!("{}: {}", file.display(), source.lines().take(2).collect::<String>())),
                }
            }
        }
        let faults = prepare(&t, &statements).await;
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        assert!(statements.len() > 180, "only {} statements were found", statements.len());
        // Those that are put together at run time are run by the test below.
        assert!(composed.len() <= 70, "{} statements are put together: {}", composed.len(), composed.join("\n"));
    }

    async fn every_list_answers_whatever_it_is_filtered_by(t: T) {
        let uk = t.region("UK").requires_approval().await;
        let us = t.region("US").await;
        let ada = t.admin().await;
        let model = t.model("PD Mortgage").owned_by(&ada).in_regions([&uk, &us]).await;
        model.version("1.0").regional([&uk, &us]).validated_for([&us]).approved().await.scheduled_in(&[&uk, &us], "2026-03-31").await;
        let member = t.person("Anna").await;
        let auditor = t.person("Otto").role(Role::Auditor).await;
        let document = t.anonymous(Method::GET, "/api/v1/openapi.json").await.ok().json();
        let mut asked = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            let Some(parameters) = item["get"]["parameters"].as_array() else { continue };
            let filters = parameters.iter().filter(|one| one["in"] == "query" && one["name"] != "cursor");
            let with = |one: &Value| values(&document, one).into_iter().map(|value| format!("{}={value}", one["name"].as_str().unwrap())).collect::<Vec<_>>();
            let path = format!("/api/v1{}", path.trim_start_matches("/api/v1").replace("{model_id}", "1").replace("{user_id}", "1"));
            let needed: Vec<_> = filters.clone().filter(|one| one["required"] == true).flat_map(with).collect();
            let path = format!("{path}?{}", needed.join("&"));
            let mut together = Vec::new();
            for (at, query) in filters.filter(|one| one["required"] != true).flat_map(|one| with(one).into_iter().enumerate()) {
                for person in [&ada, &member, &auditor] {
                    let answer = person.get(&format!("{path}&{query}")).await;
                    // Of a word that only the list knows, the description does not say which there are.
                    let fits = answer.status() != 422 || query.ends_with("=a");
                    assert!(answer.status() < 500 && fits, "{path}&{query}: {}", answer.text());
                    asked += 1;
                }
                if at == 0 && ada.get(&format!("{path}&{query}")).await.status() == 200 && !query.starts_with("format") {
                    together.push(query);
                }
            }
            let all = together.join("&");
            assert_ne!(ada.get(&format!("{path}&{all}")).await.status(), 422, "{path}&{all}");
            let first = ada.get(&format!("{path}&limit=1")).await;
            let next = if first.header("content-type") == "application/json" { first.json()["next_cursor"].clone() } else { Value::Null };
            if let Some(next) = next.as_str() {
                ada.get(&format!("{path}&cursor={next}")).await.ok();
                ada.get(&format!("{path}&{all}&cursor={next}")).await.expect(200);
            }
        }
        assert!(asked > 250, "only {asked} lists were asked for");
    }

    async fn no_page_of_a_list_reads_a_whole_table(t: T) {
        let scene = seed::fill_database(t.app(), Sizes { pairs: 20_000, open_tasks: 12_000 }).await;
        more_of_everything(&t).await;
        let big = big_tables(&t).await;
        let mut faults = BTreeSet::new();
        let mut seen = 0;
        drop(t.app().db.statements_since());
        for address in LISTS {
            for who in [&scene.owner, &scene.admin] {
                for query in pages_of(&t, address, who).await {
                    seen += 1;
                    faults.extend(whole_tables(&t, &big, query).await.into_iter().map(|fault| format!("{address}: {fault}")));
                }
            }
        }
        assert!(seen > 60, "only {seen} pages were asked for");
        assert!(faults.is_empty(), "{}", faults.into_iter().collect::<Vec<_>>().join("\n\n"));
    }
}

/// Every list of the product, in every order that it can be shown.
const LISTS: &[&str] = &[
    "/api/v1/deployment-tasks/ready-to-deploy",
    "/api/v1/deployment-tasks/ready-to-deploy?sort=newest",
    "/api/v1/deployment-tasks/ready-to-deploy?region_id=2",
    "/api/v1/deployment-tasks/ready-to-deploy?model_id=7",
    "/api/v1/deployment-tasks/my-tasks",
    "/api/v1/deployment-tasks/my-tasks?bucket=overdue",
    "/api/v1/deployment-tasks/my-tasks?model_id=7",
    "/api/v1/approvals/inbox",
    "/api/v1/approvals/inbox?view=pending",
    "/api/v1/approvals/inbox?view=all",
    "/api/v1/validations",
    "/api/v1/validations?sort=requested",
    "/api/v1/validations?state=open",
    "/api/v1/models",
    "/api/v1/models?sort=-name",
    "/api/v1/models?owner=me",
    "/api/v1/models/7/versions",
    "/api/v1/users",
    "/api/v1/ledger",
    "/api/v1/ledger?model_id=7",
    "/api/v1/ledger?actor_id=7",
    "/api/v1/ledger?entity=task&entity_id=7",
    "/api/v1/deployments",
    "/api/v1/deployments?sort=deployed",
    "/api/v1/deployments?sort=model",
    "/api/v1/deployments?sort=-model",
    "/api/v1/deployments?sort=requests_per_s",
    "/api/v1/deployments?sort=-requests_per_s",
    "/api/v1/deployments?sort=p95_ms",
    "/api/v1/deployments?sort=-p95_ms",
    "/api/v1/deployments?state=active&sort=-p95_ms",
    "/api/v1/deployments?model_id=7",
    "/api/v1/releases",
    "/api/v1/releases?model_id=7",
    "/api/v1/drift",
    "/api/v1/reports/overrides",
    "/api/v1/reports/regional-matrix",
    "/api/v1/reports/deployment-history?model_id=7",
    "/api/v1/models/7/lineage",
    "/",
    "/my-deployment-tasks",
    "/inbox",
    "/validations",
    "/models",
    "/models/7",
    "/models/7?tab=versions",
    "/models/7?tab=timeline",
    "/deployments",
    "/deployments?sort=-requests_per_s",
    "/releases",
    "/drift",
    "/people",
    "/ledger",
    "/reports/overrides",
    "/reports/regional-matrix",
];

/// The statements that ask for a page, of the first page of a list and of the one after.
async fn pages_of(t: &T, address: &str, who: &Caller) -> Vec<Query> {
    let ask = async |address: &str| {
        let sending = t.anonymous(Method::GET, address);
        match (who, address.starts_with("/api/")) {
            (Caller::Token(token), true) => sending.header("authorization", format!("Bearer {token}")).await,
            (Caller::Token(token), false) => {
                let session = token.replace("token", "session");
                sending.header("cookie", format!("countersign_session={session}")).await
            }
            _ => sending.await,
        }
    };
    let first = ask(address).await;
    assert!([200, 403, 404].contains(&first.status()), "{address}: {}", first.text());
    let lists = address.starts_with("/api/") && first.status() == 200;
    if let Some(next) = lists.then(|| first.json()["next_cursor"].clone()).as_ref().and_then(Value::as_str) {
        let and = if address.contains('?') { '&' } else { '?' };
        ask(&format!("{address}{and}cursor={next}")).await.ok();
    }
    let sent = t.app().db.statements_since();
    sent.into_iter().filter(|query| query.text().contains("LIMIT") && !query.text().starts_with("EXPLAIN")).collect()
}

/// The tables that have grown so much that reading one from end to end is felt.
async fn big_tables(t: &T) -> Vec<&'static str> {
    let mut big = Vec::new();
    for (table, count) in [
        ("users", "SELECT COUNT(*) FROM users"),
        ("ledger_entries", "SELECT COUNT(*) FROM ledger_entries"),
        ("models", "SELECT COUNT(*) FROM models"),
        ("model_regions", "SELECT COUNT(*) FROM model_regions"),
        ("versions", "SELECT COUNT(*) FROM versions"),
        ("version_regions", "SELECT COUNT(*) FROM version_regions"),
        ("validation_requests", "SELECT COUNT(*) FROM validation_requests"),
        ("validation_approvals", "SELECT COUNT(*) FROM validation_approvals"),
        ("deployment_tasks", "SELECT COUNT(*) FROM deployment_tasks"),
        ("region_deployments", "SELECT COUNT(*) FROM region_deployments"),
        ("ready_pairs", "SELECT COUNT(*) FROM ready_pairs"),
        ("approval_inbox_items", "SELECT COUNT(*) FROM approval_inbox_items"),
        ("approval_inbox_actions", "SELECT COUNT(*) FROM approval_inbox_actions"),
        ("releases", "SELECT COUNT(*) FROM releases"),
        ("deployments", "SELECT COUNT(*) FROM deployments"),
    ] {
        assert!(t.number(count).await > 5_000, "{table} is small");
        big.push(table);
    }
    big
}

/// What big tables are called in a statement.
fn names_in<'a>(sql: &'a str, big: &[&'static str]) -> BTreeMap<&'a str, &'static str> {
    let words: Vec<&str> =
        sql.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let named = words.windows(3).filter_map(|three| {
        let table = big.iter().find(|table| **table == three[0])?;
        let alias = if three[1].eq_ignore_ascii_case("AS") { three[2] } else { three[1] };
        Some((if alias.chars().all(char::is_uppercase) { three[0] } else { alias }, *table))
    });
    named.collect()
}

/// Where the engine would read a big table from end to end, for whatever part of the statement.
async fn whole_tables(t: &T, big: &[&'static str], query: Query) -> Vec<String> {
    let sql = query.text().to_owned();
    let plan = t.app().db.plan(query).await.unwrap();
    let steps = without_counts(&plan);
    let names = names_in(&sql, big);
    let sorts = plan.iter().any(|step| step.contains("USE TEMP B-TREE FOR ORDER BY"));
    let scanned = |step: &&String| match t.app().db.engine() {
        // Without a sort, the first table is walked in the order of its key until the page is full.
        Engine::Sqlite => step.strip_prefix("SCAN ").is_some_and(|rest| {
            let (name, how) = rest.split_once(' ').unwrap_or((rest, ""));
            let derived = ["CO-ROUTINE", "MATERIALIZE"].iter().any(|made| plan.contains(&format!("{made} {name}")));
            names.contains_key(name) && !derived && (sorts || (how.is_empty() && plan.first() != Some(*step)))
        }),
        Engine::Postgres => step
            .split_once("Seq Scan on ")
            .is_some_and(|(_, rest)| rest.split_whitespace().next().is_some_and(|name| big.contains(&name))),
    };
    let faults: Vec<_> = steps.into_iter().filter(scanned).map(|step| step.trim().to_owned()).collect();
    if faults.is_empty() { faults } else { vec![format!("{} in\n{}\nof\n{sql}", faults.join(", "), plan.join("\n"))] }
}

/// The steps of a plan without those that only count: a count of everything must look at everything.
/// PostgreSQL says so; SQLite counts over an index, which is no fault anyway.
fn without_counts(plan: &[String]) -> Vec<&String> {
    let depth = |step: &str| step.len() - step.trim_start().len();
    let mut counting: Option<usize> = None;
    let mut steps = Vec::new();
    for (at, step) in plan.iter().enumerate() {
        if counting.is_some_and(|above| depth(step) <= above) {
            counting = None;
        }
        if step.contains("InitPlan") && plan.get(at + 1).is_some_and(|next| next.contains("Aggregate")) {
            counting = Some(depth(step));
        }
        if counting.is_none() {
            steps.push(step);
        }
    }
    steps
}

/// People, ledger entries and tickets by the thousand.
async fn more_of_everything(t: &T) {
    let mut act = t.act().await;
    let now = act.now;
    for statement in [
        "INSERT INTO users (email, name, created_at) WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         SELECT 'more-' || i || '@example.com', 'More ' || i, $1 FROM n",
        "INSERT INTO models (name, owner_id, project_id, risk_tier, status, created_at)
         SELECT 'Many ' || user_id, user_id % 100 + 1, 1, 'TIER_3', 'RETIRED', $1 FROM users WHERE user_id > 101",
        "INSERT INTO versions (model_id, number, major, minor, change_type, scope, description, submitted_by_id, created_at)
         SELECT model_id, '1.0', 1, 0, 'MINOR', 'GLOBAL', 'A change', owner_id, $1 FROM models WHERE name LIKE 'Many %'",
        "INSERT INTO validation_requests (type, priority, state, requested_by_id, requested_at)
         SELECT 'INTERIM', 'LOW', CASE WHEN user_id % 50 = 0 THEN 'INTAKE' ELSE 'CANCELLED' END, user_id % 100 + 1, $1 FROM users
         WHERE user_id > 101",
        "INSERT INTO ledger_entries (seq, at, actor_id, actor, action, entity, entity_id, model_id, request_id, prev_hash, hash)
         SELECT task_id, $1, assigned_to_id, 'Somebody', 'task.made', 'task', CAST(task_id AS TEXT), model_id, 'seed', '', ''
         FROM deployment_tasks",
        "INSERT INTO approval_inbox_items (kind, subject, subject_id, requested_by_id, required_role, model_id, version_id, region_id,
             project_id, risk, priority, due_at, state, created_at)
         SELECT 'regional_approval', 'A region', task_id, assigned_to_id, 'REGIONAL_APPROVER', model_id, version_id, region_id, 1,
                'medium', 'MEDIUM', $1, CASE WHEN task_id % 20 = 0 THEN 'pending' ELSE 'approved' END, $1 FROM deployment_tasks",
        "INSERT INTO approval_inbox_actions (ticket_id, action, by_id, at)
         SELECT ticket_id, 'asked', requested_by_id, $1 FROM approval_inbox_items",
        "INSERT INTO override_reviews (task_id, version_id, model_id, reason, state, overridden_by_id, opened_at)
         SELECT task_id, version_id, model_id, 'It was urgent', 'OPEN', assigned_to_id, $1 FROM deployment_tasks
         WHERE status = 'CONFIRMED' AND task_id % 5 = 0",
        "INSERT INTO environments (name, region_id, stage, runtime, endpoint, state, approval_required, preview_minutes, created_at)
         SELECT 'environment-' || region_id, region_id, 'production', 'local', '127.0.0.1:' || (7100 + region_id), 'ready', FALSE, 30, $1
         FROM regions",
        "INSERT INTO release_previews (preview_ref, environment_id, version_id, model_id, kind, covers, digest, plan, checks, warnings,
             requested_by_id, created_at, expires_at)
         SELECT 'p' || version_id, version_id % 10 + 1, version_id, model_id, 'release', '{}', '', '{}', '[]', '[]', submitted_by_id, $1, $1
         FROM versions",
        "INSERT INTO releases (environment_id, model_id, version_id, kind, lifecycle_state, preview_ref, requested_by_id, created_at)
         SELECT environment_id, model_id, version_id, 'release', 'applied', preview_ref, requested_by_id, created_at FROM release_previews",
        "INSERT INTO deployments (environment_id, model_id, version_id, release_id, runtime_key, state, endpoint, digest, created_at, active_at,
             requests_per_s, p95_ms, error_rate, measured_at)
         SELECT environment_id, model_id, version_id, release_id, 'k', CASE WHEN release_id % 3 = 0 THEN 'active' ELSE 'retired' END, 'e', 'd',
                created_at, created_at, CASE WHEN release_id % 3 = 0 THEN release_id % 1000 / 7.0 END,
                CASE WHEN release_id % 3 = 0 THEN release_id % 900 / 3.0 END, 0, $1 FROM releases",
        "INSERT INTO drift_findings (kind, model_id, region_id, version_id, deployment_id, detail, found_at, ended_at)
         SELECT 'running_not_ratified', d.model_id, e.region_id, d.version_id, d.deployment_id, 'differs', $1,
                CASE WHEN d.deployment_id % 10 = 0 THEN NULL ELSE $1 END
         FROM deployments d JOIN environments e ON e.environment_id = d.environment_id",
    ] {
        Query::new(statement).bind(now).run(&mut act.tx).await.unwrap();
    }
    act.commit().await.unwrap();
    Query::new("ANALYZE").run(&t.app().db).await.unwrap();
}
