//! A small HTTP client that costs next to nothing: blocking, keep-alive, one connection a thread.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::seed::{Caller, Scene};
use crate::server::Server;

/// What is sent, and whether it may be sent twice.
#[derive(Debug, Clone)]
pub struct Request {
    text: String,
    once: bool,
}

impl Request {
    /// A read, as a browser (with its cookie, compressed) or a program (with its token) sends it.
    pub fn get(path: &str, caller: &Caller) -> Self {
        let accept = if matches!(caller, Caller::Session(_)) { "Accept-Encoding: gzip\r\n" } else { "" };
        Self {
            text: format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{accept}{}\r\n\r\n", caller.header()),
            once: false,
        }
    }

    /// A body of JSON, which may be sent only once, or as often as one likes.
    pub fn post(path: &str, body: &str, caller: &Caller, once: bool) -> Self {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\nContent-Type: application/json", caller.header());
        Self { text: format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}"), once }
    }

    /// The owner's confirmation of a task, as of today.
    pub fn confirm(task: i64, scene: &Scene) -> Self {
        let body = format!(r#"{{"actual_production_date":"{}"}}"#, scene.today);
        let text = format!(
            "PATCH /api/v1/deployment-tasks/{task}/confirm HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            scene.admin.header(),
            body.len(),
        );
        Self { text, once: true }
    }
}

/// How hard to press.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub clients: usize,
    pub seconds: f64,
    pub most: usize,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// In milliseconds, ascending.
    pub latencies: Vec<f64>,
    pub per_second: f64,
    pub statements: f64,
    pub body_bytes: usize,
    /// Answers by status, if one was not a success.
    pub failure: Option<String>,
}

impl Measured {
    /// The latency that `percent` of the answers keep below, in milliseconds.
    pub fn percentile(&self, percent: f64) -> f64 {
        let Some(last) = self.latencies.len().checked_sub(1) else { return f64::NAN };
        self.latencies[((last as f64) * percent / 100.0).round() as usize]
    }
}

/// Sends the requests from several clients at once; `statements` tells how many were sent to the database so far. Those that may be sent only once are used up.
pub fn measure(address: &str, statements: &dyn Fn() -> f64, requests: &mut Vec<Request>, load: Load) -> Measured {
    let repeat = (!requests[0].once).then(|| requests[0].clone());
    if let Some(request) = &repeat {
        let mut connection = Connection::to(address).expect("the server takes connections");
        for _ in 0..20 {
            connection.send(request);
        }
    }
    let queue = Mutex::new(std::mem::take(requests));
    let results = Mutex::new((Vec::new(), 0, None));
    let before = statements();
    let started = Instant::now();
    let ends = started + Duration::from_secs_f64(load.seconds);
    std::thread::scope(|scope| {
        for _ in 0..load.clients {
            scope.spawn(|| {
                let mut connection = Connection::to(address).expect("the server takes connections");
                let mut latencies = Vec::new();
                let (mut bytes, mut failure) = (0, None);
                while Instant::now() < ends && latencies.len() < load.most / load.clients {
                    let Some(request) = repeat.clone().or_else(|| queue.lock().unwrap().pop()) else { break };
                    let sent = Instant::now();
                    let answer = connection.send(&request);
                    latencies.push(sent.elapsed().as_secs_f64() * 1000.0);
                    bytes = answer.body_bytes;
                    if !(200..300).contains(&answer.status) {
                        failure = Some(format!("{} {}", answer.status, answer.start));
                        break;
                    }
                }
                let mut results = results.lock().unwrap();
                results.0.extend(latencies);
                results.1 = bytes.max(results.1);
                results.2 = failure.or(results.2.take());
            });
        }
    });
    let elapsed = started.elapsed().as_secs_f64();
    let statements = statements() - before;
    *requests = match repeat {
        Some(request) => vec![request],
        None => queue.into_inner().unwrap(),
    };
    let (mut latencies, body_bytes, failure) = results.into_inner().unwrap();
    latencies.sort_by(f64::total_cmp);
    let count = latencies.len() as f64;
    // Asking for the count costs no statement.
    Measured { per_second: count / elapsed, statements: statements / count, latencies, body_bytes, failure }
}

/// What came back, in short.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body_bytes: usize,
    pub start: String,
    pub body: Vec<u8>,
}

/// One connection, kept open.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(server: &Server) -> Self {
        Self::to(&server.address).expect("the server takes connections")
    }

    pub fn to(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(64 << 10, stream) })
    }

    pub fn send(&mut self, request: &Request) -> Reply {
        self.stream.get_mut().write_all(request.text.as_bytes()).expect("the server reads");
        self.read().expect("the server answers")
    }

    fn read(&mut self) -> std::io::Result<Reply> {
        let status = self.line()?.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap_or_default(),
                Some(("transfer-encoding", _)) => chunked = true,
                _ if line.is_empty() => break,
                _ => (),
            }
        }
        let mut body = Vec::new();
        if chunked {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16).unwrap_or_default();
                self.stream.by_ref().take(size as u64).read_to_end(&mut body)?;
                self.line()?;
                if size == 0 {
                    break;
                }
            }
        } else {
            self.stream.by_ref().take(length).read_to_end(&mut body)?;
        }
        let start = std::str::from_utf8(&body).map_or(String::new(), |text| text.chars().take(200).collect());
        Ok(Reply { status, body_bytes: body.len(), start, body })
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}
