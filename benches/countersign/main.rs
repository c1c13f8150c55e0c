//! `make bench`: how fast the product is, how that grows, and what it costs.
//!
//! It drives the release binary over HTTP, on both databases, filled to three sizes. What is compared
//! is ratios within one run: the machine's own speed cancels out.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a bench")]

mod client;
mod delivery;
mod mlflow;
mod report;
mod seed;
mod server;
mod training;

#[path = "../../tests/support/postgres.rs"]
mod postgres;

use std::time::Duration;

use client::{Load, measure};
use report::{Report, Run};
use seed::{Scene, Sizes};
use server::Server;

/// One thing that is asked for again and again.
struct Case {
    name: &'static str,
    requests: Asking,
}

/// The requests of a case, in the scene that was filled.
type Asking = Box<dyn Fn(&Scene) -> Vec<client::Request>>;

/// Everything that is measured; a case whose address the product does not know fails the bench.
fn cases() -> Vec<Case> {
    let get = |name, path: &'static str, who: fn(&Scene) -> &seed::Caller| Case {
        name,
        requests: Box::new(move |scene| vec![client::Request::get(path, who(scene))]),
    };
    vec![
        get("ready-to-deploy, owner of 1 %", "/api/v1/deployment-tasks/ready-to-deploy", |scene| &scene.owner),
        get("ready-to-deploy, administrator", "/api/v1/deployment-tasks/ready-to-deploy", |scene| &scene.admin),
        get("my-tasks, owner of 1 %", "/api/v1/deployment-tasks/my-tasks", |scene| &scene.owner),
        get("my-tasks, administrator, all", "/api/v1/deployment-tasks/my-tasks?scope=all", |scene| &scene.admin),
        get("tasks page, owner of 1 %", "/my-deployment-tasks", |scene| &scene.owner_session),
        get("tasks page, administrator, all", "/my-deployment-tasks?scope=all", |scene| &scene.admin_session),
        get("deployments, of 10,000", "/api/v1/deployments", |scene| &scene.admin),
        get("deployments by P95, of 10,000", "/api/v1/deployments?sort=-p95_ms", |scene| &scene.admin),
        get("deployments page, of 10,000", "/deployments", |scene| &scene.admin_session),
        get("deployments page by P95", "/deployments?sort=-p95_ms", |scene| &scene.admin_session),
        get("regional matrix page", "/reports/regional-matrix", |scene| &scene.admin_session),
        Case {
            name: "confirm",
            requests: Box::new(|scene| scene.tasks.iter().map(|task| client::Request::confirm(*task, scene)).collect()),
        },
    ]
}

fn main() {
    let options = Options::read();
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| name.contains(only));
    let mut report = Report::new(server::binary_bytes());
    for engine in ["sqlite", "postgres"] {
        for pairs in &options.pairs {
            let asked = cases().iter().any(|case| wanted(case.name));
            if asked && options.engine.as_deref().is_none_or(|only| only == engine) {
                report.add(bench(engine, Sizes { pairs: *pairs, open_tasks: 100_000 }, &options));
            }
        }
    }
    for engine in ["sqlite", "postgres"] {
        if options.engine.as_deref().is_none_or(|only| only == engine) && wanted("statistics") {
            eprintln!("{engine}: reading the statistics of {} endpoints", options.endpoints);
            report.scraping.push(delivery::scrape(engine, options.endpoints, options.scraping));
        }
    }
    for engine in ["sqlite", "postgres"] {
        if options.engine.as_deref().is_none_or(|only| only == engine) && wanted("training") {
            eprintln!("{engine}: a run of a million points, and one that is watched");
            report.training.push(training::run(engine));
        }
    }
    if wanted("training") {
        eprintln!("the builtin training beside scikit-learn's");
        report.learning = training::compare();
    }
    if options.engine.is_none() && wanted("mlflow") {
        report.compared = mlflow::compare();
    }
    report.print();
    let file = report.save();
    println!("\nThe same as JSON: {}", file.display());
    if options.engine.is_none() {
        report.fail_if_missing();
    }
}

/// What the command line asks for: `cargo bench -- [--engine sqlite|postgres] [--pairs 2000,20000] [--only NAME]
/// [--endpoints 1000] [--scrape-seconds 60]`.
struct Options {
    engine: Option<String>,
    pairs: Vec<i64>,
    only: Option<String>,
    endpoints: i64,
    scraping: Duration,
}

impl Options {
    fn read() -> Self {
        let arguments: Vec<String> = std::env::args().collect();
        let value =
            |flag: &str| arguments.iter().position(|one| one == flag).and_then(|at| arguments.get(at + 1)).cloned();
        let pairs = value("--pairs").unwrap_or_else(|| "2000,20000,200000".to_owned());
        Self {
            engine: value("--engine"),
            pairs: pairs.split(',').map(|number| number.parse().expect("--pairs takes numbers")).collect(),
            only: value("--only"),
            endpoints: value("--endpoints").map_or(1000, |number| number.parse().expect("--endpoints takes a number")),
            scraping: Duration::from_secs(
                value("--scrape-seconds").map_or(60, |number| number.parse().expect("--scrape-seconds takes a number")),
            ),
        }
    }
}

fn bench(engine: &'static str, sizes: Sizes, options: &Options) -> Run {
    eprintln!("{engine}, {} pairs: filling", sizes.pairs);
    let storage = server::Storage::new(engine);
    let scene = storage.fill(sizes);
    let server = Server::start(&storage);
    std::thread::sleep(Duration::from_secs(1));
    let mut run = Run::new(engine, sizes, server.first_answer, server.resident_bytes());
    for case in cases() {
        if options.only.as_deref().is_some_and(|only| !case.name.contains(only)) {
            continue;
        }
        eprintln!("{engine}, {} pairs: {}", sizes.pairs, case.name);
        let mut requests = (case.requests)(&scene);
        let alone = measure(
            &server.address,
            &|| server.statements(),
            &mut requests,
            Load { clients: 1, seconds: 3.0, most: 1000 },
        );
        let crowd = measure(
            &server.address,
            &|| server.statements(),
            &mut requests,
            Load { clients: 16, seconds: 3.0, most: 20_000 },
        );
        run.add(case.name, alone, crowd);
    }
    run.loaded_bytes = server.resident_bytes();
    run
}
