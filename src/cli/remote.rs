//! `countersign release`, `deployments`, `inbox`: the API of a running server, from a shell.
//!
//! Each command is one or two requests; nothing is decided here. Tables are for people, `--json` for programs.

use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

/// What every command needs.
#[derive(Debug, Clone, clap::Args)]
pub struct Server {
    /// The server's address.
    #[arg(long, env = "COUNTERSIGN_SERVER", default_value = "http://127.0.0.1:7070")]
    server: String,
    /// A token of the person who acts; make one with `countersign token create`.
    #[arg(long, env = "COUNTERSIGN_TOKEN", hide_env_values = true)]
    token: String,
    /// Print the server's answer as it came.
    #[arg(long)]
    json: bool,
}

const RELEASE_EXAMPLES: &str = "\
Exit code 0 if it was done (with --watch: applied), 1 if it was refused, failed or no server answers, 2 if the command
line is wrong.

Examples:
  countersign release preview --environment 3 --version 12
  countersign release apply 5f0c2a… --apply-on-approval
  countersign release status 42 --watch
  countersign release rollback 42 --version 11 --reason 'Scores are worse'";

/// Preview, apply, watch and roll back releases.
#[derive(Debug, Subcommand)]
#[command(after_help = RELEASE_EXAMPLES)]
pub enum Release {
    /// Show what a release would change; nothing is touched.
    Preview {
        /// The environment's number.
        #[arg(long)]
        environment: i64,
        /// The version's number in the product.
        #[arg(long)]
        version: i64,
        #[command(flatten)]
        server: Server,
    },
    /// Ask for the release of a preview, or apply an approved release.
    Apply {
        /// The preview.
        preview_ref: String,
        /// Apply it once the last approver agrees.
        #[arg(long)]
        apply_on_approval: bool,
        /// Why it must go ahead in a freeze window.
        #[arg(long)]
        freeze_reason: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Show where a release stands.
    Status {
        /// The release's number.
        release: i64,
        /// Wait until it has ended.
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Preview the way back to a version that was applied before.
    Rollback {
        /// The release that is to be undone.
        release: i64,
        /// The version to go back to, by its number in the product.
        #[arg(long)]
        version: i64,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        server: Server,
    },
}

/// Look at deployments.
#[derive(Debug, Subcommand)]
pub enum Deployments {
    /// List deployments, newest first.
    List {
        #[command(flatten)]
        server: Server,
    },
}

/// Decide what waits in the approval inbox.
#[derive(Debug, Subcommand)]
pub enum Inbox {
    /// List the tickets that you can decide or asked for.
    List {
        #[command(flatten)]
        server: Server,
    },
    /// Approve a ticket.
    Approve {
        /// The ticket, as CS-1042.
        ticket: String,
        /// Why.
        #[arg(long, default_value = "")]
        comment: String,
        #[command(flatten)]
        server: Server,
    },
    /// Reject a ticket.
    Reject {
        /// The ticket, as CS-1042.
        ticket: String,
        /// Why; whoever asked reads it.
        #[arg(long)]
        comment: String,
        #[command(flatten)]
        server: Server,
    },
}

impl Server {
    async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        revision: Option<i64>,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let plain = self.server.starts_with("http://");
        anyhow::ensure!(plain, "{} is no address that begins with http://; HTTPS is not spoken here.", self.server);
        let address = format!("{}/api/v1{path}", self.server.trim_end_matches('/'));
        let mut request = reqwest::Client::new().request(method, &address).bearer_auth(&self.token);
        if let Some(revision) = revision {
            request = request.header("if-match", format!("\"{revision}\""));
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.with_context(|| format!("No server answers at {}", self.server))?;
        let ok = answer.status().is_success();
        let value: Value =
            answer.json().await.with_context(|| format!("{address} does not answer as Countersign does"))?;
        if ok {
            return Ok(value);
        }
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        anyhow::bail!("{} ({}) {}", text("detail"), text("code"), text("hint"))
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(reqwest::Method::GET, path, None, None).await
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.ask(reqwest::Method::POST, path, None, Some(body)).await
    }

    /// Prints the answer itself, or what a person wants to read of it.
    fn print(&self, answer: &Value, people: impl FnOnce(&Value)) {
        if self.json {
            println!("{answer:#}");
        } else {
            people(answer);
        }
    }
}

/// Carries out a command about releases.
pub async fn release(command: Release) -> anyhow::Result<()> {
    match command {
        Release::Preview { environment, version, server } => {
            let body = json!({ "environment_id": environment, "version_id": version });
            server.print(&server.post("/releases/preview", body).await?, print_preview);
        }
        Release::Apply { preview_ref, apply_on_approval, freeze_reason, server } => {
            let body = json!({ "preview_ref": preview_ref, "apply_on_approval": apply_on_approval,
                               "freeze_reason": freeze_reason });
            let made = server.get(&format!("/releases/previews/{preview_ref}")).await?;
            let answer = match made["release_id"].as_i64() {
                Some(release) => {
                    server.post(&format!("/releases/{release}/apply"), json!({ "preview_ref": preview_ref })).await?
                }
                None => server.post("/releases", body).await?,
            };
            server.print(&answer, print_release);
        }
        Release::Status { release, watch, server } => {
            let answer = status(&server, release, watch).await?;
            server.print(&answer, print_release);
            let state = answer["lifecycle_state"].as_str().unwrap_or_default();
            anyhow::ensure!(!watch || state == "applied", "The release was not applied: it is {state}.");
        }
        Release::Rollback { release, version, reason, server } => {
            let body = json!({ "version_id": version, "reason": reason });
            server.print(&server.post(&format!("/releases/{release}/rollback"), body).await?, print_preview);
        }
    }
    Ok(())
}

/// Where a release stands; if it is to be watched, once it has ended.
async fn status(server: &Server, release: i64, watch: bool) -> anyhow::Result<Value> {
    let mut said = String::new();
    loop {
        let answer = server.get(&format!("/releases/{release}")).await?;
        let state = answer["lifecycle_state"].as_str().unwrap_or_default().to_owned();
        if !watch || !matches!(state.as_str(), "pending_approval" | "approved" | "applying") {
            return Ok(answer);
        }
        let steps = answer["steps"].as_array().cloned().unwrap_or_default();
        let now = steps.iter().find(|step| step["state"] == "running");
        let says = format!("{state} {}", now.and_then(|step| step["sentence"].as_str()).unwrap_or_default());
        if says != said && !server.json {
            println!("{}", says.trim_end());
            said = says;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Carries out a command about deployments.
pub async fn deployments(command: Deployments) -> anyhow::Result<()> {
    let Deployments::List { server } = command;
    let answer = server.get("/deployments?limit=500").await?;
    server.print(&answer, |answer| {
        let columns = ["deployment_id", "model_name", "version_number", "environment_name", "state", "endpoint"];
        table(&answer["items"], &columns);
    });
    Ok(())
}

/// Carries out a command about the inbox.
pub async fn inbox(command: Inbox) -> anyhow::Result<()> {
    let (ticket, verb, comment, server) = match command {
        Inbox::List { server } => {
            let answer = server.get("/approvals/inbox?limit=500").await?;
            server.print(&answer, |answer| {
                table(&answer["items"], &["number", "state", "risk", "required_role", "subject"])
            });
            return Ok(());
        }
        Inbox::Approve { ticket, comment, server } => (ticket, "approve", comment, server),
        Inbox::Reject { ticket, comment, server } => (ticket, "reject", comment, server),
    };
    let number: i64 = ticket.trim_start_matches("CS-").parse().context("A ticket’s number is like CS-1042")?;
    let id = number - 1000;
    let seen = server.get(&format!("/approvals/inbox/{id}")).await?;
    let path = format!("/approvals/inbox/{id}/{verb}");
    let body = json!({ "comment": Some(comment).filter(|text| !text.is_empty()) });
    let answer = server.ask(reqwest::Method::POST, &path, seen["revision"].as_i64(), Some(body)).await?;
    server.print(&answer, |answer| println!("{} is {}.", text(&answer["number"]), text(&answer["state"])));
    Ok(())
}

fn print_preview(answer: &Value) {
    println!(
        "Preview {}: {} {} into {}, until {}\n",
        text(&answer["preview_ref"]),
        text(&answer["model_name"]),
        text(&answer["version_number"]),
        text(&answer["environment_name"]),
        text(&answer["preview_expires_at"])
    );
    println!("{}", text(&answer["diff"]));
    for check in answer["checks"].as_array().into_iter().flatten() {
        println!("{:<10} {}", text(&check["answer"]), text(&check["says"]));
    }
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        println!("warning    {}", text(warning));
    }
}

fn print_release(answer: &Value) {
    println!(
        "Release {} of {} {} into {}: {}",
        text(&answer["release_id"]),
        text(&answer["model_name"]),
        text(&answer["version_number"]),
        text(&answer["environment_name"]),
        text(&answer["lifecycle_state"])
    );
    for ticket in answer["tickets"].as_array().into_iter().flatten() {
        println!("{:<10} {} by {}", text(&ticket["number"]), text(&ticket["state"]), text(&ticket["required_role"]));
    }
    for step in answer["steps"].as_array().into_iter().flatten().filter(|step| step["state"] != "waiting") {
        println!("{:<10} {}", text(&step["state"]), text(&step["sentence"]));
    }
    if let Some(message) = answer["diagnostics"]["message"].as_str() {
        println!("failed     {message} {}", text(&answer["diagnostics"]["hint"]));
    }
}

/// A value without the quotation marks of JSON.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

/// Rows in columns as wide as their widest value.
fn table(rows: &Value, columns: &[&str]) {
    let cells: Vec<Vec<String>> = std::iter::once(columns.iter().map(|name| name.to_uppercase()).collect())
        .chain(rows.as_array().into_iter().flatten().map(|row| columns.iter().map(|name| text(&row[*name])).collect()))
        .collect();
    for row in &cells {
        let padded = row.iter().enumerate().map(|(at, cell)| {
            let width = cells.iter().map(|row| row[at].chars().count()).max().unwrap_or_default();
            format!("{cell:<width$}")
        });
        println!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    }
}
