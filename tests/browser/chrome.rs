//! Chromium, driven as a person would: by what is written on buttons and beside fields.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::error::WebDriverErrorInner;
use thirtyfour::prelude::*;

/// How long a person would wait.
const PATIENCE: Duration = Duration::from_secs(15);

/// The program that drives browsers, on a free port.
#[derive(Debug)]
pub struct Chromedriver {
    child: Child,
    address: String,
}

impl Chromedriver {
    /// Starts it.
    pub fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver starts; `make tools` installs it");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            line.split("successfully on port ").nth(1).map(|rest| rest.trim_end_matches('.').to_owned())
        });
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: format!("http://127.0.0.1:{}", port.expect("chromedriver names its port")) }
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        // The browsers hang on a pipe of it, and end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a browser is like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kind {
    pub dark: bool,
    pub without_javascript: bool,
}

/// One person's browser.
#[derive(Debug)]
pub struct Browser {
    pub driver: WebDriver,
    server: String,
    name: String,
    _profile: TempDir,
}

impl Browser {
    /// Opens a browser with an empty profile for the server at this address.
    pub async fn open(chromedriver: &Chromedriver, server: &str, name: &str, kind: Kind) -> Self {
        let profile = TempDir::new().unwrap();
        let mut wanted = DesiredCapabilities::chrome();
        let user_data = format!("--user-data-dir={}", profile.path().display());
        let common = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-pipe",
            "--window-size=1280,1000",
        ];
        for argument in common.into_iter().chain([user_data.as_str()]) {
            wanted.add_arg(argument).unwrap();
        }
        if kind.dark {
            wanted.add_arg("--force-dark-mode").unwrap();
        }
        if kind.without_javascript {
            let prefs = json!({ "profile.managed_default_content_settings.javascript": 2 });
            wanted.add_experimental_option("prefs", prefs).unwrap();
        }
        let driver =
            WebDriver::new(&chromedriver.address, wanted).await.expect("Chromium starts; `make tools` installs it");
        Self { driver, server: server.to_owned(), name: name.to_owned(), _profile: profile }
    }

    /// Goes to an address of the product.
    pub async fn goto(&self, path: &str) {
        let s = Instant::now();
        self.driver.goto(format!("{}{path}", self.server)).await.unwrap();
        eprintln!("{:?} goto {path}", s.elapsed());
    }

    /// The path and query of the page.
    pub async fn path(&self) -> String {
        let url = self.driver.current_url().await.unwrap();
        url.as_str().strip_prefix(&self.server).unwrap_or(url.as_str()).to_owned()
    }

    /// Signs in with the form.
    pub async fn sign_in(&self, email: &str, password: &str) {
        self.goto("/sign-in").await;
        self.fill("#email", email).await;
        self.fill("#password", password).await;
        self.press("Sign in").await;
        self.wait_for("main#main").await;
    }

    /// Gives the browser a session, as if the person had signed in.
    pub async fn resume(&self, session: &str) {
        self.goto("/healthz").await;
        self.driver.add_cookie(Cookie::new("countersign_session", session.to_owned())).await.unwrap();
    }

    /// Waits until `css` selects something that is shown, and gives it.
    pub async fn wait_for(&self, css: &str) -> WebElement {
        self.until(&format!("“{css}”"), async || self.shown(By::Css(css.to_owned())).await).await
    }

    /// Waits until nothing that is shown is selected by `css`.
    pub async fn wait_gone(&self, css: &str) {
        self.until(&format!("no “{css}”"), async || {
            self.shown(By::Css(css.to_owned())).await.is_none().then_some(())
        })
        .await;
    }

    /// Waits until the element's text contains `text`, and says how long that took.
    pub async fn wait_text(&self, css: &str, text: &str) -> Duration {
        let started = Instant::now();
        self.until(&format!("“{text}” in “{css}”"), async || {
            let element = self.shown(By::Css(css.to_owned())).await?;
            element.text().await.ok()?.contains(text).then_some(())
        })
        .await;
        started.elapsed()
    }

    /// Presses the button or link with this text; one in an open dialog before one behind it.
    pub async fn press(&self, text: &str) {
        let what = "self::button or self::a or self::summary";
        let said = format!("normalize-space(.)='{text}'");
        let in_dialog = format!("//dialog[@open]//*[({what}) and {said}]");
        let anywhere = format!("//*[({what}) and {said}]");
        self.until(&format!("a button “{text}”"), async || {
            let element = match self.shown(By::XPath(in_dialog.clone())).await {
                Some(element) => element,
                None => self.shown(By::XPath(anywhere.clone())).await?,
            };
            element.click().await.ok()
        })
        .await;
    }

    /// Clicks on what `css` selects.
    pub async fn click(&self, css: &str) {
        self.until(&format!("“{css}” to click on"), async || {
            self.shown(By::Css(css.to_owned())).await?.click().await.ok()
        })
        .await;
    }

    /// Types into a field, in place of what stands there.
    pub async fn fill(&self, css: &str, value: &str) {
        let field = self.wait_for(css).await;
        if field.attr("type").await.unwrap().as_deref() == Some("date") {
            // A date field takes keys in the order of the person's language.
            let keys = value.split('-').collect::<Vec<_>>();
            field.send_keys(format!("{}{}{}", keys[1], keys[2], keys[0])).await.unwrap();
            return;
        }
        field.clear().await.unwrap();
        field.send_keys(value).await.unwrap();
    }

    /// Chooses a file of this machine to upload.
    pub async fn choose_file(&self, css: &str, file: &std::path::Path) {
        self.wait_for(css).await.send_keys(file.to_str().unwrap()).await.unwrap();
    }

    /// Ticks, or unticks, the box whose label starts with this text.
    pub async fn tick(&self, label: &str) {
        let box_of = format!("//label[starts-with(normalize-space(.), '{label}')]/input[@type='checkbox']");
        self.until(&format!("a box “{label}”"), async || {
            self.shown(By::XPath(box_of.clone())).await?.click().await.ok()
        })
        .await;
    }

    /// Ticks a box, unless it is ticked.
    pub async fn set_ticked(&self, css: &str) {
        let element = self.wait_for(css).await;
        if !element.is_selected().await.unwrap() {
            element.click().await.unwrap();
        }
    }

    /// Chooses the option with this text.
    pub async fn choose(&self, css: &str, option: &str) {
        let select = self.wait_for(css).await;
        let xpath = format!(".//option[normalize-space(.)='{option}']");
        select
            .find(By::XPath(xpath))
            .await
            .unwrap_or_else(|_| panic!("{css} has no option “{option}”"))
            .click()
            .await
            .unwrap();
    }

    /// The text of what `css` selects.
    pub async fn text(&self, css: &str) -> String {
        self.wait_for(css).await.text().await.unwrap()
    }

    /// How many elements `css` selects.
    pub async fn count(&self, css: &str) -> usize {
        self.driver.find_all(By::Css(css.to_owned())).await.unwrap().len()
    }

    /// What a script returns.
    pub async fn script(&self, script: &str) -> Value {
        self.driver.execute(script, vec![]).await.unwrap().json().clone()
    }

    async fn shown(&self, by: By) -> Option<WebElement> {
        for element in self.driver.find_all(by).await.ok()? {
            if element.is_displayed().await.unwrap_or_default() {
                return Some(element);
            }
        }
        None
    }

    async fn until<Out>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<Out>) -> Out {
        let started = Instant::now();
        loop {
            if let Some(found) = look().await {
                eprintln!("{:?} {what}", started.elapsed());
                return found;
            }
            if started.elapsed() > PATIENCE {
                let picture = self.screenshot("failed").await;
                let text = self.driver.find(By::Css("body")).await.ok();
                let text = match text {
                    Some(body) => body.text().await.unwrap_or_default(),
                    None => String::new(),
                };
                panic!(
                    "{} waited in vain for {what} on {}; see {}\n{text}",
                    self.name,
                    self.path().await,
                    picture.display()
                );
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Keeps a picture of the page in the target folder.
    pub async fn screenshot(&self, name: &str) -> PathBuf {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{}-{name}.png", self.name));
        let _ = self.driver.screenshot(&file).await;
        file
    }

    /// Closes it.
    pub async fn close(self) {
        match self.driver.quit().await {
            Err(error) if !matches!(*error, WebDriverErrorInner::NoSuchWindow(_)) => panic!("{error}"),
            _ => (),
        }
    }
}
