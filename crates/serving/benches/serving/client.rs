//! A client that costs next to nothing: blocking, keep-alive, one connection a thread.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Encoding {
    Json,
    Binary,
}

/// What came of it: milliseconds, and requests a second.
#[derive(Debug, Clone)]
pub struct Measured {
    pub p50: f64,
    pub p99: f64,
    pub per_second: f64,
}

/// How many different requests are sent in turn: the processor must not learn one by heart.
pub const DIFFERENT: usize = 32;

/// Rows of features as the models take them: each value is one that the feature has in the data.
pub fn features(rows: usize, seed: usize) -> Vec<f32> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let known: Vec<Vec<f32>> =
        serde_json::from_value(expected["credit-logistic"]["inputs"]["features"].clone()).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed as u64 + 1);
    let mut one_of = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % known.len()
    };
    (0..rows * 20).map(|at| known[one_of()][at % 20]).collect()
}

pub fn measure(address: &str, encoding: Encoding, rows: usize, clients: usize, seconds: Duration) -> Measured {
    let requests: Vec<_> = (0..DIFFERENT).map(|seed| request(encoding, rows, seed)).collect();
    client(address, &requests, seconds / 10);
    let began = Instant::now();
    let mut latencies: Vec<f64> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(|| client(address, &requests, seconds))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let per_second = latencies.len() as f64 / began.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
    Measured { p50: at(50), p99: at(99), per_second }
}

fn request(encoding: Encoding, rows: usize, seed: usize) -> Vec<u8> {
    let features = features(rows, seed);
    let (mut input, mut request) = (json!({ "name": "features", "shape": [rows, 20], "datatype": "FP32" }), json!({}));
    let (mut bytes, mut header) = (Vec::new(), String::new());
    match encoding {
        Encoding::Json => input["data"] = json!(features),
        Encoding::Binary => {
            bytes = features.iter().flat_map(|value| value.to_le_bytes()).collect();
            input["parameters"] = json!({ "binary_data_size": bytes.len() });
            request["parameters"] = json!({ "binary_data_output": true });
        }
    }
    request["inputs"] = json!([input]);
    let json = request.to_string();
    if encoding == Encoding::Binary {
        header = format!("Inference-Header-Content-Length: {}\r\n", json.len());
    }
    let length = json.len() + bytes.len();
    let head =
        format!("POST /v2/models/credit/infer HTTP/1.1\r\nHost: bench\r\n{header}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), json.as_bytes(), &bytes].concat()
}

fn client(address: &str, requests: &[Vec<u8>], seconds: Duration) -> Vec<f64> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    let (began, mut latencies, mut line) = (Instant::now(), Vec::new(), String::new());
    let mut body = Vec::new();
    for request in requests.iter().cycle() {
        if began.elapsed() > seconds {
            break;
        }
        let sent = Instant::now();
        stream.get_mut().write_all(request).unwrap();
        let (mut length, mut status) = (0, None);
        loop {
            line.clear();
            stream.read_line(&mut line).unwrap();
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
                Some(_) => (),
                None if line.trim_end().is_empty() => break,
                None => status = Some(line.contains(" 200 ")),
            }
        }
        body.clear();
        stream.by_ref().take(length).read_to_end(&mut body).unwrap();
        latencies.push(sent.elapsed().as_secs_f64() * 1e3);
        assert_eq!(status, Some(true), "{}", String::from_utf8_lossy(&body));
    }
    latencies
}
