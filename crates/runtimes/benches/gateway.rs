//! What the gateway adds: the same requests to a server, and to it through the gateway, in turn, in one run.
//!
//! `cargo bench -p countersign-runtimes`

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use countersign_runtimes::{DeploymentSpec, Local, Runtime as _, Step, Target, local};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;

const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign-runtimes-fake");
const ROUNDS: usize = 20;
const REQUESTS: usize = 500;
const CLIENTS: usize = 16;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;
type Client = SendRequest<Full<Bytes>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let artifact = folder.path().join("model");
    std::fs::write(&artifact, "model")?;
    let endpoint = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let target = Target { key: "bench".into(), folder: folder.path().join("bench"), endpoint };
    let config = local::Config { program: PROGRAM.into(), host: "here".into() };
    let local = Local::new(config, local::system_clock());
    let digest = format!("sha256:{}", hex::encode(Sha256::digest("model")));
    let deployment = DeploymentSpec::new("v1", "m", "1", artifact, &digest);
    let steps = [
        Step::Start { deployment },
        Step::Verify { key: "v1".into() },
        Step::Shift { model: "m".into(), weights: BTreeMap::from([("v1".into(), 1)]), paused: false },
    ];
    for step in &steps {
        local.execute(&target, step).await?;
    }
    let live = local.observe(&target).await?;
    let server = live.deployment("v1").and_then(|live| live.address).ok_or("the server is gone")?;
    let measured = measure(server, endpoint).await;
    local.stop_all(&target).await?;
    measured
}

async fn measure(server: SocketAddr, gateway: SocketAddr) -> Outcome<()> {
    let (mut direct, mut through) = (connect(server).await?, connect(gateway).await?);
    let (mut plain, mut added) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.extend(times(&mut direct, REQUESTS).await?);
        added.extend(times(&mut through, REQUESTS).await?);
    }
    println!("{:<28}{:>10}{:>10}", "one client, µs", "p50", "p99");
    for (name, times) in [("server", &mut plain), ("through the gateway", &mut added)] {
        times.sort_unstable();
        println!("{name:<28}{:>10}{:>10}", percentile(times, 50), percentile(times, 99));
    }
    println!(
        "{:<28}{:>10}{:>10}",
        "added",
        percentile(&added, 50) - percentile(&plain, 50),
        percentile(&added, 99) - percentile(&plain, 99)
    );
    println!("{:<28}{:>10.0}", "16 clients, requests/s", throughput(server).await?);
    println!("{:<28}{:>10.0}", "  through the gateway", throughput(gateway).await?);
    Ok(())
}

async fn connect(address: SocketAddr) -> Outcome<Client> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (client, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn times(client: &mut Client, requests: usize) -> Outcome<Vec<u64>> {
    let mut times = Vec::with_capacity(requests);
    for _ in 0..requests {
        let begun = Instant::now();
        let request = Request::post("/v2/models/m/infer").header("host", "bench");
        client.ready().await?;
        let response = client.send_request(request.body(Full::from("{\"inputs\":[]}"))?).await?;
        if !response.status().is_success() {
            return Err(format!("answered {}", response.status()).into());
        }
        response.into_body().collect().await?;
        times.push(u64::try_from(begun.elapsed().as_micros())?);
    }
    Ok(times)
}

async fn throughput(address: SocketAddr) -> Outcome<f64> {
    let begun = Instant::now();
    let work = move || async move {
        let (mut client, mut count) = (connect(address).await?, 0);
        while begun.elapsed() < Duration::from_secs(3) {
            count += times(&mut client, 50).await?.len();
        }
        Outcome::Ok(count)
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(work())).collect();
    let mut total = 0;
    for client in clients {
        total += client.await??;
    }
    Ok(total as f64 / begun.elapsed().as_secs_f64())
}

fn percentile(sorted: &[u64], percent: usize) -> i64 {
    sorted.get(sorted.len() * percent / 100).map_or(0, |value| i64::try_from(*value).unwrap_or(i64::MAX))
}
