//! The queue's end, the time limit, the size limit, and how a server stops.

use std::time::{Duration, Instant};

use countersign_serving::ErrorCode;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Options, columns, expected, features, options, reply, served, served_with};

fn slow_request() -> Value {
    columns(&expected("credit-slow")["inputs"], 0..8)
}

/// One worker that takes its time, and little room to wait.
fn narrow() -> Options {
    Options { workers: 1, queue: 1, ..options("credit-slow") }
}

#[tokio::test]
async fn requests_beyond_the_queue_are_told_to_come_back() {
    let server = served_with(narrow()).await;
    let request = slow_request();
    let answers = futures_util::future::join_all((0..12).map(|_| server.infer(&request))).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert!(done.len() >= 2, "{} were answered", done.len());
    assert!(!refused.is_empty());
    for answer in refused {
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.headers["retry-after"], "1");
        answer.error();
    }
    assert_eq!(server.infer(&request).await.status, 200, "afterwards there is room again");
}

#[tokio::test]
async fn a_body_that_is_too_large_whether_it_says_so_or_not() {
    let server = served_with(Options { max_body: 1000, ..options("credit-logistic") }).await;
    let url = server.url("/v2/models/credit/infer");
    let answer = reply(server.http.post(&url).body(vec![b' '; 1001])).await;
    assert_eq!(answer.status, 413);
    assert!(answer.error().contains("1000 bytes"));

    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /v2/models/credit/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("400\r\n{}\r\n0\r\n\r\n", " ".repeat(0x400));
    stream.write_all(format!("{head}{chunk}").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_model_that_takes_too_long() {
    let server = served_with(Options { timeout: Duration::from_millis(20), ..narrow() }).await;
    let answer = server.infer(&slow_request()).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    answer.error();
}

#[tokio::test]
async fn a_body_that_does_not_come() {
    let server = served_with(Options { timeout: Duration::from_millis(200), ..options("conv") }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /v2/models/credit/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_client_that_goes_away_gives_its_place_back() {
    let server = served_with(narrow()).await;
    let body = slow_request().to_string();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let length = body.len();
        let head = format!("POST /v2/models/credit/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        drop(stream);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let patience = Instant::now() + Duration::from_secs(20);
    while server.infer(&slow_request()).await.status != 200 {
        assert!(Instant::now() < patience, "no place came free");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(server.metrics().await.contains("countersign_inference_in_flight 0"));
}

#[tokio::test]
async fn stopping_lets_requests_under_way_finish_and_takes_no_others() {
    let mut server = served_with(Options { workers: 1, queue: 8, ..options("credit-slow") }).await;
    let request = slow_request();
    let (http, url) = (server.http.clone(), server.url("/v2/models/credit/infer"));
    let under_way: Vec<_> = (0..6).map(|_| tokio::spawn(reply(http.post(&url).json(&request)))).collect();
    while !server.metrics().await.contains("countersign_inference_in_flight 6") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.stop();
    let mut ready = server.get("/v2/health/ready").await;
    while ready.status == 200 {
        ready = server.get("/v2/health/ready").await;
    }
    assert_eq!((ready.status, ready.json()["ready"].as_bool()), (400, Some(false)));
    assert_eq!(server.get("/v2/health/live").await.status, 200);
    let refused = server.infer(&request).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.headers["connection"], "close");
    for answer in under_way {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    server.ended().await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn stopping_an_idle_server_takes_no_time() {
    let mut server = served("credit-logistic").await;
    let request = features(&expected("credit-logistic")["inputs"]["features"]);
    assert_eq!(server.infer(&request).await.status, 200);
    let asked = Instant::now();
    server.stop();
    server.ended().await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn requests_that_outlast_the_patience_of_the_drain_are_told() {
    let mut server = served_with(Options { drain: Duration::from_millis(1), ..narrow() }).await;
    let under_way = tokio::spawn(reply(server.http.post(server.url("/v2/models/credit/infer")).json(&slow_request())));
    while !server.metrics().await.contains("countersign_inference_in_flight 1") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.stop();
    assert_eq!(server.ended().await.unwrap_err().code, ErrorCode::DrainIncomplete);
    under_way.abort();
}
