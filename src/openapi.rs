//! The API's description, generated from the handlers, and the pages that show it.
//!
//! Handlers say what is theirs alone; what holds for every operation (who may call, how refusals
//! look, the key that makes a repeated write safe) is added here, once.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use utoipa::PartialSchema as _;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, Content, InfoBuilder, License, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder, Server,
};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::error::{self, FieldError, Problem, Result};
use crate::web::{Shell, Visitor, html};

mod reference;

use reference::{ErrorsPage, Reference, ReferencePage};

const ABOUT: &str = "Everything that the pages do. Send a token as `Authorization: Bearer TOKEN`; make one under *Account and \
                     tokens* or with `countersign token create`. Lists are paged: follow `next_cursor`. Refusals are \
                     problem documents (RFC 9457) with a stable `code`.";

/// What each tag groups, in the order of the reference page.
const TAGS: &[(&str, &str)] = &[
    ("Deployment tasks", "What is ready to deploy, what is due, and the owner's confirmation."),
    ("Approvals", "The inbox: one queue for everything that somebody must decide, and the rules of it."),
    ("Models", "The inventory: models, their owners, regions and delegates."),
    ("Versions", "Changes of a model, from draft to live."),
    ("Artifacts", "The bytes of versions, by digest."),
    ("Validations", "Reviews of versions, and their approvals."),
    ("Inventory", "Regions, teams, projects, and imports."),
    ("Releases", "Previews, releases, their approval and their steps."),
    ("Deployments", "What serves where, and where it differs from what was ratified."),
    ("Environments", "Places models run, with their stages and freeze windows."),
    ("Reports", "Overrides, the regional matrix, deployment histories, counts."),
    ("Ledger", "The append-only record of everything anybody did."),
    ("People", "Accounts, roles, and delegations."),
    ("Account", "One's own password, sessions and tokens."),
];

/// Refusals that any operation may answer with.
const ALWAYS: &[u16] = &[400, 401, 403, 404, 405, 422, 429, 500, 503];
/// Refusals that only writes answer with.
const WRITES: &[u16] = &[409, 412, 413, 415, 428];

/// Splits the API into its routes and their description.
pub fn assemble(api: OpenApiRouter<App>) -> (Router<App>, OpenApi) {
    let (routes, mut document) = api.split_for_parts();
    let license = License::builder().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    document.info = InfoBuilder::new()
        .title("Countersign")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license))
        .build();
    document.servers = Some(vec![Server::new("/api/v1")]);
    document.security = Some(vec![
        SecurityRequirement::new("token", [""; 0]),
        SecurityRequirement::new("session", [""; 0]).add("csrf", [""; 0]),
    ]);
    for (path, item) in &mut document.paths.paths {
        for (operation, writes) in operations_mut(item) {
            name(operation, path);
            complete(operation, writes);
        }
    }
    add_components(document.components.get_or_insert_default());
    document.tags = Some(tags(&document));
    (routes, document)
}

/// The operations of a path, each with whether it writes.
fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = (&mut Operation, bool)> {
    [
        (&mut item.get, false),
        (&mut item.put, true),
        (&mut item.post, true),
        (&mut item.patch, true),
        (&mut item.delete, true),
    ]
    .into_iter()
    .filter_map(|(operation, writes)| Some((operation.as_mut()?, writes)))
}

/// Makes a bare verb, the handler's own name, into a name that says of what: `list` into `list_users`.
fn name(operation: &mut Operation, path: &str) {
    if let Some(verb) = operation.operation_id.as_mut().filter(|id| !id.contains('_')) {
        let words = path.split('/').filter(|part| !part.is_empty() && !part.starts_with('{'));
        *verb = std::iter::once(verb.as_str()).chain(words).collect::<Vec<_>>().join("_").replace('-', "_");
    }
}

/// Adds what holds for every operation.
fn complete(operation: &mut Operation, writes: bool) {
    let statuses = ALWAYS.iter().chain(if writes { WRITES } else { &[] });
    for status in statuses {
        let answer = RefOr::Ref(Ref::from_response_name(format!("Problem{status}")));
        operation.responses.responses.entry(status.to_string()).or_insert(answer);
    }
    for (status, answer) in &mut operation.responses.responses {
        if let RefOr::T(refusal) = answer
            && status.starts_with(['4', '5'])
        {
            refusal.content =
                std::iter::once(("application/problem+json".to_owned(), RefOr::T(problem_content()))).collect();
        }
    }
    if writes {
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("The same write sent again with the same key is done once and answers the same."))
            .schema(Some(
                ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(200)).build(),
            ))
            .build();
        operation.parameters.get_or_insert_default().push(RefOr::T(key));
    }
}

fn add_components(components: &mut Components) {
    components.schemas.insert("Problem".to_owned(), Problem::schema());
    components.schemas.insert("FieldError".to_owned(), FieldError::schema());
    for status in ALWAYS.iter().chain(WRITES) {
        components.responses.insert(format!("Problem{status}"), RefOr::T(problem(*status)));
    }
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token of a person, with the scope read or write."))
        .build();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    let cookie = ApiKeyValue::with_description("countersign_session", "The cookie that signing in sets.");
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    let csrf = "With a session, writes carry its form token: the content of the page's <meta name=\"csrf\">.";
    let csrf = ApiKeyValue::with_description("X-CSRF-Token", csrf);
    components.add_security_scheme("csrf", SecurityScheme::ApiKey(ApiKey::Header(csrf)));
}

/// The problem documents of one status, with the codes that they may carry.
fn problem(status: u16) -> Response {
    let codes: Vec<_> = error::ALL.iter().filter(|code| code.status == status).map(|code| code.code).collect();
    let about = if codes.is_empty() { "A refusal.".to_owned() } else { format!("Code {}.", codes.join(" or ")) };
    ResponseBuilder::new().description(about).content("application/problem+json", problem_content()).build()
}

fn problem_content() -> Content {
    Content::new(Some(Ref::from_schema_name("Problem")))
}

/// The tags that operations bear: those of [`TAGS`] in their order, then any other.
fn tags(document: &OpenApi) -> Vec<utoipa::openapi::Tag> {
    let used: BTreeSet<&str> = document
        .paths
        .paths
        .values()
        .flat_map(|item| [&item.get, &item.put, &item.post, &item.patch, &item.delete])
        .flatten()
        .flat_map(|operation| operation.tags.iter().flatten())
        .map(String::as_str)
        .collect();
    let known = TAGS.iter().filter(|(name, _)| used.contains(name));
    let others = used.iter().filter(|name| TAGS.iter().all(|(known, _)| known != *name)).map(|name| (*name, ""));
    known
        .copied()
        .chain(others)
        .map(|(name, about)| {
            TagBuilder::new().name(name).description(Some(about).filter(|about| !about.is_empty())).build()
        })
        .collect()
}

/// The description as JSON text, as `openapi.json` has it.
///
/// # Errors
/// Only a bug in a description.
pub fn document() -> anyhow::Result<String> {
    Ok(assemble(crate::router::api()).1.to_pretty_json()? + "\n")
}

/// The reference pages: the API, operation by operation, and the error codes.
pub fn pages(document: &OpenApi) -> Router<App> {
    let reference = Arc::new(Reference::read(document));
    Router::new()
        .route("/docs/api", get(move |state, visitor| show_reference(state, visitor, reference)))
        .route("/docs/errors", get(show_errors))
}

async fn show_reference(State(app): State<App>, visitor: Visitor, reference: Arc<Reference>) -> Result<Html<String>> {
    let shell = Shell::new(&app, &visitor, "docs", "API reference").await?;
    html(&ReferencePage { shell, reference: &reference })
}

async fn show_errors(State(app): State<App>, visitor: Visitor) -> Result<Html<String>> {
    let shell = Shell::new(&app, &visitor, "docs", "Error codes").await?;
    html(&ErrorsPage { shell, codes: error::ALL })
}

/// The table of `docs/errors.md`.
#[must_use]
pub fn errors_table() -> String {
    let rows = error::ALL
        .iter()
        .map(|code| format!("| `{}` | {} | {} | {} |\n", code.code, code.status, code.title, code.hint));
    "| code | status | what it says | what to do |\n|---|---|---|---|\n".to_owned() + &rows.collect::<String>()
}
