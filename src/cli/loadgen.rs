//! `countersign loadgen`: real requests to an endpoint, for demonstrations and benchmarks.
//!
//! Every request says that it is synthetic, so that it is counted apart and never taken for real use.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

mod rows;
mod send;

use send::{Load, Report};

const EXAMPLES: &str = "\
Examples:
  countersign loadgen http://127.0.0.1:7101/v2/models/credit --duration 60 --rate 200
      Two hundred requests a second for a minute, with made-up values of the types that the model takes.
  countersign loadgen http://127.0.0.1:7101 --model credit --rows credit.csv \\
      --columns duration_in_month,credit_amount,age_in_years --count 1000 --json
      A thousand requests with the rows of a file.

A model on named columns takes those of the file by their names; one on a matrix takes those that --columns names, or
all numeric ones in their order. All requests bear the header x-countersign-synthetic: true: the page of the deployment
shows them apart, with ?synthetic=true. Percentiles are of the requests that were answered.

Exit code 0 if every request was answered well, 1 if any was not or no server answers, 2 if the command line is wrong.";

/// Send requests to a deployment's endpoint, and tell how it answered.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The endpoint, as the deployment's page has it, or the address of its server
    #[arg(value_name = "URL")]
    url: String,
    /// The model's name, if the address does not end with it
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// A CSV file with a heading, whose rows are sent in turn; made-up values if absent
    #[arg(long, value_name = "FILE")]
    rows: Option<PathBuf>,
    /// The file's columns that make the matrix, in this order
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', requires = "rows")]
    columns: Vec<String>,
    /// How many rows a request has
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// How many requests are under way at once, at most
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    clients: u32,
    /// Requests a second, all clients together; as many as are answered if absent
    #[arg(long, value_name = "R")]
    rate: Option<f64>,
    /// How many requests are sent
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    count: Option<u64>,
    /// For how many seconds requests are sent
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    duration: f64,
    /// For how many seconds an answer is waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    timeout: f64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Sends the requests and tells what came of them.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let (base, model) = endpoint(&args.url, args.model.as_deref())?;
    let seconds = |name: &str, value: f64| {
        let valid = value > 0.0 && value <= 86_400.0;
        anyhow::ensure!(valid, "--{name} is a number of seconds between 0 and 86400.");
        Ok(Duration::from_secs_f64(value))
    };
    if let Some(rate) = args.rate {
        anyhow::ensure!(rate > 0.0 && rate <= 1e6, "--rate is a number of requests a second between 0 and 1000000.");
    }
    let client = reqwest::Client::builder()
        .timeout(seconds("timeout", args.timeout)?)
        .redirect(reqwest::redirect::Policy::none());
    let client = client.build()?;
    let address = format!("{base}/v2/models/{model}");
    let inputs = send::inputs(&client, &address).await?;
    let bodies = match &args.rows {
        Some(file) => rows::of_file(&inputs, file, &args.columns, args.batch as usize)?,
        None => rows::made_up(&inputs, args.batch as usize)?,
    };
    let load = Load {
        address: format!("{address}/infer"),
        bodies,
        clients: args.clients,
        rate: args.rate,
        count: args.count,
        duration: args.count.is_none().then_some(seconds("duration", args.duration)?),
    };
    let report = send::run(client, load).await;
    print(&args, &model, &report);
    anyhow::ensure!(report.errors() == 0, "{} of {} requests failed.", report.errors(), report.requests());
    Ok(())
}

/// The server's address and the model's name, from an address that may hold both.
fn endpoint(url: &str, model: Option<&str>) -> anyhow::Result<(String, String)> {
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let url = url.trim_end_matches('/');
    anyhow::ensure!(
        url.starts_with("http://"),
        "{url} is no address that begins with http://; HTTPS is not spoken here."
    );
    let (base, named) = url.split_once("/v2/models/").map_or((url, None), |(base, name)| (base, Some(name)));
    let model = model.or(named).ok_or_else(|| {
        anyhow::anyhow!("Which model? Name it with --model, or give the endpoint as the deployment’s page has it.")
    })?;
    Ok((base.to_owned(), model.trim_end_matches("/infer").to_owned()))
}

fn print(args: &Args, model: &str, report: &Report) {
    let percentiles = [0.5, 0.95, 0.99].map(|q| report.percentile_ms(q));
    if args.json {
        let answer = json!({
            "url": args.url, "model": model, "synthetic": true, "requests": report.requests(), "errors": report.errors(),
            "errors_by": report.failed, "seconds": report.seconds, "requests_per_s": report.rate(),
            "p50_ms": percentiles[0], "p95_ms": percentiles[1], "p99_ms": percentiles[2],
        });
        println!("{answer:#}");
        return;
    }
    let show = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3} ms"));
    println!("{:<12} {model} at {} (synthetic)", "model", args.url);
    println!("{:<12} {} in {:.1} s", "requests", report.requests(), report.seconds);
    println!("{:<12} {}", "errors", report.errors());
    for (kind, count) in &report.failed {
        println!("{:<12}   {count} × {kind}", "");
    }
    println!("{:<12} {:.1}", "requests/s", report.rate());
    for (name, value) in ["p50", "p95", "p99"].into_iter().zip(percentiles) {
        println!("{name:<12} {}", show(value));
    }
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn an_endpoint_is_taken_as_the_page_has_it_or_with_a_model() {
        let both = |url, model| endpoint(url, model).ok();
        let wanted = Some(("http://127.0.0.1:7101".to_owned(), "credit".to_owned()));
        assert_eq!(both("http://127.0.0.1:7101/v2/models/credit", None), wanted);
        assert_eq!(both("http://127.0.0.1:7101/v2/models/credit/infer", None), wanted);
        assert_eq!(both("127.0.0.1:7101/", Some("credit")), wanted);
        assert_eq!(both("127.0.0.1:7101", None), None);
    }
}
