//! What the tests start in place of the product's binary: a model server with faults to choose, the real gateway, and a
//! control plane that takes one step and dies in its middle.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use countersign_runtimes::{Local, Runtime as _, Step, Target, gateway, local};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

type Arguments = BTreeMap<String, String>;
type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let pairs = words.filter_map(|word| word.strip_prefix("--")?.split_once('=').map(|(a, b)| (a.into(), b.into())));
    let arguments: Arguments = pairs.collect();
    match command.as_str() {
        "serve-model" => serve_model(arguments).await,
        "gateway" => serve_gateway(&arguments).await,
        "drive" => drive(&arguments).await,
        other => Err(format!("there is no command “{other}”").into()),
    }
}

async fn serve_gateway(arguments: &Arguments) -> Outcome {
    let instance = std::env::var(gateway::INSTANCE).unwrap_or_default();
    let options =
        gateway::Options { config: (&arguments["config"]).into(), listen: arguments["listen"].parse()?, instance };
    Ok(gateway::serve(options).await?)
}

/// Takes one step as a control plane would, and dies at a point of it, as one that is killed.
async fn drive(arguments: &Arguments) -> Outcome {
    let program = arguments.get("program").map_or_else(std::env::current_exe, |program| Ok(program.into()))?;
    let config = local::Config { program, host: "here".to_owned() };
    let (target, step): (Target, Step) =
        (serde_json::from_str(&arguments["target"])?, serde_json::from_str(&arguments["step"])?);
    let die_at = arguments.get("die-at").cloned().unwrap_or_default();
    let local = Local::new(config, local::system_clock()).on_point(Arc::new(move |point| {
        if point == die_at {
            std::process::abort();
        }
    }));
    let done = local.execute(&target, &step).await?;
    println!("{} {}", done.sentence, done.facts);
    Ok(())
}

struct Server {
    arguments: Arguments,
    digest: String,
    asked: AtomicU64,
}

impl Server {
    fn option(&self, name: &str) -> &str {
        self.arguments.get(name).map_or("", String::as_str)
    }
}

async fn serve_model(arguments: Arguments) -> Outcome {
    let bytes = std::fs::read(PathBuf::from(&arguments["artifact"]))?;
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
    let server = Arc::new(Server { arguments, digest, asked: AtomicU64::new(0) });
    if server.option("fault") == "refuses" {
        eprintln!("{}", serde_json::json!({ "code": "artifact_digest_mismatch", "message": "These are other bytes." }));
        std::process::exit(1);
    }
    if server.option("fault") == "exits" {
        eprintln!("the artifact cannot be loaded");
        std::process::exit(3);
    }
    if server.option("fault") == "silent" {
        eprintln!("thinking");
        std::future::pending::<()>().await;
    }
    let mut terminated = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind((server.option("listen"), server.option("port").parse()?)).await?;
    println!("not JSON");
    println!("{}", serde_json::json!({ "event": "ready", "address": listener.local_addr()? }));
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let server = Arc::clone(&server);
                let service = service_fn(move |request| answer(Arc::clone(&server), request));
                let connection = http1::Builder::new().serve_connection(TokioIo::new(accepted?.0), service);
                tokio::spawn(graceful.watch(connection));
            }
            _ = terminated.recv() => {
                if server.option("fault") != "deaf" {
                    break;
                }
                eprintln!("not listening");
            }
        }
    }
    graceful.shutdown().await;
    Ok(())
}

async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let fault = server.option("fault");
    let (status, body) = if path.ends_with("/ready") {
        (if fault == "never-ready" { StatusCode::BAD_REQUEST } else { StatusCode::OK }, "{}".to_owned())
    } else if path.ends_with("/infer") {
        let headers = request.headers().keys().map(ToString::to_string).filter(|name| name.starts_with("x-"));
        let headers: Vec<_> = headers.collect();
        let length = request.into_body().collect().await.map(|body| body.to_bytes().len());
        let number = server.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let delay = server.option("delay").parse().unwrap_or(0);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let bad = server.option("bad-every").parse().is_ok_and(|every: u64| number.is_multiple_of(every));
        let status = if bad { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
        (
            status,
            serde_json::json!({ "version": server.option("version"), "length": length.ok(), "headers": headers })
                .to_string(),
        )
    } else {
        let name = if fault == "other-name" { "other" } else { server.option("name") };
        let digest = if fault == "other-bytes" { format!("sha256:{}", "0".repeat(64)) } else { server.digest.clone() };
        (StatusCode::OK, serde_json::json!({ "name": name, "parameters": { "digest": digest } }).to_string())
    };
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    Ok(response)
}
