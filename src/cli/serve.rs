//! `countersign serve`: the server, from its first line to a graceful end.

use std::fs::File;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, SystemClock};
use crate::audit::live::Live;
use crate::config::{Config, Flags};
use crate::{deployments, operations, training};

/// How long requests under way may take once the server was told to stop.
const PATIENCE: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Examples:
  countersign serve --demo
      Fill the empty database in ./data with demo data and serve on http://127.0.0.1:7070.
  countersign serve --listen 0.0.0.0:8080 --data /var/lib/countersign --secure-cookies
      Serve behind a reverse proxy that speaks HTTPS.
  COUNTERSIGN_DATABASE=postgres://cs:secret@db/cs countersign serve --data /var/lib/countersign
      Keep everything but the artifacts in PostgreSQL.

The server stops on SIGTERM and SIGINT: it takes no new requests and gives those under way five seconds.";

/// Serves the pages, the API and the live stream until it is told to stop.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    flags: Flags<true>,
}

/// Serves until SIGTERM or SIGINT.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(&args.flags)?;
    super::start_log(config.log_format, &config.log_filter)?;
    let listener = listen(&config.listen).await?;
    let _held = if config.database.is_empty() { Some(hold(&config)?) } else { None };
    let policy = super::read_policy(&config)?;
    let db = super::open_database(&config).await?;
    db.migrate().await.context("The database's tables cannot be brought to this version")?;
    let app = App::new(config.settings(), db, policy, Box::new(SystemClock));
    if config.demo {
        crate::demo::fill_if_empty(&app).await?;
        println!("{}", crate::demo::sign_ins());
    }
    operations::recover(&app).await?;
    training::run::recover(&app).await?;
    deployments::resume_all(&app).await?;
    let relay = tokio::spawn(Live::relay(app.clone()));
    let working = tokio::spawn(operations::keep_working(app.clone()));
    let watching = tokio::spawn(deployments::keep_watching(app.clone()));
    let probing = tokio::spawn(deployments::keep_probing(app.clone()));
    let measuring = tokio::spawn(crate::metrics::keep_measuring(app.clone()));
    let training = tokio::spawn(training::run::keep_running(app.clone()));
    let expiry = tokio::spawn(crate::approvals::keep_expiring(app.clone()));
    let unused = tokio::spawn(crate::releases::keep_expiring(app.clone()));
    let address = listener.local_addr()?;
    println!("Countersign is ready at http://{address}");
    if config.demo {
        println!("First steps: http://{address}/start");
    }
    serve(listener, &app).await?;
    relay.abort();
    expiry.abort();
    unused.abort();
    training.abort();
    working.abort();
    watching.abort();
    probing.abort();
    measuring.abort();
    app.db.close().await;
    Ok(())
}

async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|cause| match cause.kind() {
        ErrorKind::AddrInUse => anyhow::anyhow!(
            "The address {address} is taken: another program listens there. Stop it, or choose another with --listen."
        ),
        _ => anyhow::anyhow!("Cannot listen on {address}: {cause}."),
    })
}

/// Holds the data folder for this server: a second one on the same embedded database would not hear
/// of this one's changes, and a restore must not replace what is being served.
pub fn hold(config: &Config) -> anyhow::Result<File> {
    let folder = config.data.display();
    std::fs::create_dir_all(&config.data).with_context(|| format!("The data folder {folder} cannot be made"))?;
    let file = File::create(config.data.join("countersign.lock"))
        .with_context(|| format!("The data folder {folder} cannot be written"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            anyhow::bail!("Another server uses the data folder {folder}. Stop it first, or choose another with --data.")
        }
        Err(std::fs::TryLockError::Error(cause)) => {
            Err(cause).with_context(|| format!("The data folder {folder} cannot be locked"))
        }
    }
}

/// Answers requests until a signal; then ends the live streams, and waits for the rest with patience.
async fn serve(listener: TcpListener, app: &App) -> anyhow::Result<()> {
    let mut stop = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stopping = app.clone();
    let told = async move {
        tokio::select! { _ = stop.0.recv() => (), _ = stop.1.recv() => () }
        tracing::info!("stopping");
        stopping.live.stop();
    };
    let server = axum::serve(listener, crate::router::router(app.clone())).with_graceful_shutdown(told);
    let overdue = async {
        app.live.stopped().await;
        tokio::time::sleep(PATIENCE).await;
    };
    tokio::select! {
        ended = server.into_future() => ended?,
        () = overdue => tracing::warn!("some requests did not end in time"),
    }
    Ok(())
}
