//! How people in tests use the product: over its API with a token, and over its pages with a
//! session.

use std::pin::Pin;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use scraper::{ElementRef, Html, Selector};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::builder::Person;
use crate::harness::T;

/// A request on its way; awaiting it sends it.
#[derive(Debug)]
#[must_use = "a request is sent when it is awaited"]
pub struct Sending {
    t: T,
    method: Method,
    address: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Sending {
    fn new(t: &T, method: Method, address: &str) -> Self {
        Self { t: t.clone(), method, address: address.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// With an `Idempotency-Key`.
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// With the revision that the write was decided on.
    pub fn if_match(self, revision: i64) -> Self {
        self.header("if-match", format!("\"{revision}\""))
    }

    /// With a body as it is.
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    fn json(self, body: &Value) -> Self {
        self.body("application/json", serde_json::to_vec(body).unwrap())
    }

    async fn send(self) -> Answer {
        let mut request = Request::builder().method(&self.method).uri(&self.address);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(self.body)).unwrap();
        let before = self.t.app().db.statements();
        let (parts, body) = self.t.router().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        let statements = self.t.app().db.statements() - before;
        let asked = format!("{} {}", self.method, self.address);
        Answer { asked, status: parts.status, headers: parts.headers, body, statements }
    }
}

impl IntoFuture for Sending {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    asked: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    statements: u64,
}

impl Answer {
    /// The status, as a number.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The answer, which must be a success.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.is_success(), "{} answered {}: {}", self.asked, self.status, self.text());
        self
    }

    /// The answer, which must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status(), status, "{} answered {}: {}", self.asked, self.status, self.text());
        self
    }

    /// The answer, which must be the problem with this status and code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.problem_code(), code, "{}: {}", answer.asked, answer.text());
        answer
    }

    /// A header's value; empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// All values of a header.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} did not answer JSON ({error}): {}", self.asked, self.text()))
    }

    /// The code of the problem document.
    #[track_caller]
    pub fn problem_code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}: {}", self.asked, self.text());
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The names of the fields that the problem document finds at fault.
    #[track_caller]
    pub fn problem_fields(&self) -> Vec<String> {
        let problem = self.json();
        let fields = problem["fields"].as_array().cloned().unwrap_or_default();
        fields.iter().filter_map(|one| one["field"].as_str().map(str::to_owned)).collect()
    }

    /// The revision in the ETag.
    #[track_caller]
    pub fn revision(&self) -> i64 {
        let tag = self.header("etag").trim_matches('"');
        tag.parse().unwrap_or_else(|_| panic!("{} answered no revision but “{tag}”", self.asked))
    }

    /// How many statements the request cost; true only if nothing else ran meanwhile.
    pub fn statements(&self) -> u64 {
        self.statements
    }

    /// The answer, which must have cost few statements.
    #[track_caller]
    pub fn assert_statements_at_most(self, most: u64) -> Self {
        assert!(self.statements <= most, "{} cost {} statements, more than {most}", self.asked, self.statements);
        self
    }
}

impl T {
    /// A request by nobody.
    pub fn anonymous(&self, method: Method, address: &str) -> Sending {
        Sending::new(self, method, address)
    }
}

impl Person {
    fn send(&self, method: Method, address: &str) -> Sending {
        Sending::new(&self.t, method, address).header("authorization", format!("Bearer {}", self.token))
    }

    /// `GET` over the API.
    pub fn get(&self, address: &str) -> Sending {
        self.send(Method::GET, address)
    }

    /// `POST` over the API.
    pub fn post(&self, address: &str, body: Value) -> Sending {
        self.send(Method::POST, address).json(&body)
    }

    /// `PATCH` over the API.
    pub fn patch(&self, address: &str, body: Value) -> Sending {
        self.send(Method::PATCH, address).json(&body)
    }

    /// `PUT` over the API.
    pub fn put(&self, address: &str, body: Value) -> Sending {
        self.send(Method::PUT, address).json(&body)
    }

    /// `DELETE` over the API.
    pub fn delete(&self, address: &str) -> Sending {
        self.send(Method::DELETE, address)
    }

    /// Any request over the API.
    pub fn request(&self, method: Method, address: &str) -> Sending {
        self.send(method, address)
    }

    /// A page, as the browser shows it; redirects are followed.
    pub async fn page(&self, address: &str) -> Page {
        let answer = self.browse(Method::GET, address).await;
        self.follow(address.to_owned(), answer).await
    }

    /// Sends a form of `page` with these fields beside what it holds already, and shows what comes.
    ///
    /// A field given here replaces all of its name; given with an empty list it would be missing.
    #[track_caller]
    pub fn submit<'a>(
        &'a self,
        page: &Page,
        form: &str,
        fields: &[(&str, &str)],
    ) -> impl Future<Output = Page> + use<'a> {
        let (address, method, fields) = page.fill(form, fields);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        async move {
            let answer = if method == Method::GET {
                self.browse(method, &format!("{}?{body}", address.split('?').next().unwrap_or_default())).await
            } else {
                self.browse(method, &address).body("application/x-www-form-urlencoded", body).await
            };
            self.follow(address, answer).await
        }
    }

    /// A request with the session's cookie, as a browser sends it.
    pub fn browse(&self, method: Method, address: &str) -> Sending {
        Sending::new(&self.t, method, address)
            .header(header::COOKIE.as_str(), format!("countersign_session={}", self.session))
    }

    async fn follow(&self, mut address: String, mut answer: Answer) -> Page {
        let mut statements = answer.statements;
        let mut cookies = Vec::new();
        for _ in 0..5 {
            if !answer.status.is_redirection() {
                break;
            }
            cookies
                .extend(answer.headers("set-cookie").iter().filter_map(|one| one.split(';').next()).map(str::to_owned));
            address = join(&address, answer.header("location"));
            let cookie = format!("countersign_session={}; {}", self.session, cookies.join("; "));
            answer = Sending::new(&self.t, Method::GET, &address).header("cookie", cookie).await;
            statements = answer.statements;
        }
        Page { address, statements, status: answer.status(), html: answer.text(), headers: answer.headers }
    }
}

/// A page as it came.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its address, after redirects.
    pub address: String,
    /// Its status.
    pub status: u16,
    /// Its text.
    pub html: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// How many statements it cost.
    pub statements: u64,
}

impl Page {
    /// The page, which must have been found.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.expect(200)
    }

    /// The page, which must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.address, self.text("main, body"));
        self
    }

    /// The page, which must have cost few statements.
    #[track_caller]
    pub fn assert_statements_at_most(self, most: u64) -> Self {
        assert!(self.statements <= most, "{} cost {} statements, more than {most}", self.address, self.statements);
        self
    }

    fn select<Out>(&self, css: &str, each: impl FnMut(ElementRef<'_>) -> Out) -> Vec<Out> {
        let selector = Selector::parse(css).unwrap_or_else(|error| panic!("“{css}” is no selector: {error}"));
        Html::parse_document(&self.html).select(&selector).map(each).collect()
    }

    /// The text of every element that `css` selects, white space folded.
    pub fn texts(&self, css: &str) -> Vec<String> {
        self.select(css, text_of)
    }

    /// The text of the first element that `css` selects; it must be there.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        let found = self.texts(css).into_iter().next();
        found.unwrap_or_else(|| panic!("{} has no “{css}”:\n{}", self.address, self.html))
    }

    /// How many elements `css` selects.
    pub fn count(&self, css: &str) -> usize {
        self.select(css, |_| ()).len()
    }

    /// Whether there is such an element.
    pub fn has(&self, css: &str) -> bool {
        self.count(css) > 0
    }

    /// An attribute of every element that `css` selects.
    pub fn attributes(&self, css: &str, name: &str) -> Vec<String> {
        self.select(css, |element| element.attr(name).unwrap_or_default().to_owned())
    }

    /// An attribute of the first element that `css` selects; it must be there.
    #[track_caller]
    pub fn attribute(&self, css: &str, name: &str) -> String {
        let found = self.attributes(css, name).into_iter().next();
        found.unwrap_or_else(|| panic!("{} has no “{css}”:\n{}", self.address, self.html))
    }

    /// Where a form goes, how, and with which fields.
    #[track_caller]
    fn fill(&self, form: &str, given: &[(&str, &str)]) -> (String, Method, Vec<(String, String)>) {
        let found = self.select(form, |form| {
            let action = form.attr("action").unwrap_or_default();
            let post = form.attr("method").is_some_and(|method| method.eq_ignore_ascii_case("post"));
            (join(&self.address, action), if post { Method::POST } else { Method::GET }, form_fields(form))
        });
        let (address, method, mut fields) =
            found.into_iter().next().unwrap_or_else(|| panic!("{} has no form “{form}”:\n{}", self.address, self.html));
        fields.retain(|(name, _)| given.iter().all(|(replaced, _)| replaced != name));
        fields.extend(given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        (address, method, fields)
    }
}

fn text_of(element: ElementRef<'_>) -> String {
    element.text().flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// What a browser would send of a form that nobody touched.
fn form_fields(form: ElementRef<'_>) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let controls = Selector::parse("input, textarea, select").unwrap();
    let options = Selector::parse("option").unwrap();
    for control in form.select(&controls) {
        let Some(name) = control.attr("name").filter(|_| control.attr("disabled").is_none()) else { continue };
        let values = match (control.value().name(), control.attr("type").unwrap_or("text")) {
            ("select", _) => {
                let all: Vec<_> = control.select(&options).collect();
                let chosen: Vec<_> = all.iter().filter(|option| option.attr("selected").is_some()).collect();
                let value =
                    |option: &ElementRef<'_>| option.attr("value").map_or_else(|| text_of(*option), str::to_owned);
                match (chosen.is_empty(), control.attr("multiple").is_some()) {
                    (true, false) => all.first().map(value).into_iter().collect(),
                    _ => chosen.into_iter().map(value).collect(),
                }
            }
            ("textarea", _) => vec![control.text().collect::<String>()],
            (_, "submit" | "button" | "file" | "image" | "reset") => Vec::new(),
            (_, "checkbox" | "radio") if control.attr("checked").is_none() => Vec::new(),
            (_, "checkbox" | "radio") => vec![control.attr("value").unwrap_or("on").to_owned()],
            _ => vec![control.attr("value").unwrap_or_default().to_owned()],
        };
        fields.extend(values.into_iter().map(|value| (name.to_owned(), value)));
    }
    fields
}

/// An address as it stands on a page, made whole.
fn join(page: &str, address: &str) -> String {
    let path = page.split(['?', '#']).next().unwrap_or_default();
    match address {
        "" => page.to_owned(),
        _ if address.starts_with('/') => address.to_owned(),
        _ if address.starts_with('?') => format!("{path}{address}"),
        _ => format!("{}/{address}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
    }
}
