//! Searches of runs: whatever is asked, what is found is what a plain reading of the filter finds.

use countersign::identity::Role;
use serde_json::{Value, json};

use crate::both;
use crate::builder::Person;
use crate::readiness_property::Dice;

const API: &str = "/api/2.0/mlflow/runs";
const RUNS: usize = 30;
const FILTERS: usize = 120;
const NAMES: [&str; 3] = ["a", "b c", "d.e"];
const TEXTS: [&str; 6] = ["x", "X", "x%y", "it''s", "50_1", "\\"];
const PATTERNS: [&str; 6] = ["x", "X%", "%y", "_", "%''%", "\\%"];
const NUMBERS: [f64; 5] = [-1.0, 0.0, 0.5, 1e300, 3.0];

/// A run as the test knows it.
#[derive(Default)]
struct Run {
    id: String,
    metrics: Vec<(&'static str, Option<f64>)>,
    params: Vec<(&'static str, &'static str)>,
    tags: Vec<(&'static str, &'static str)>,
}

/// One clause: as it is written, and whether a run is of it.
type Clause = (String, Box<dyn Fn(&Run) -> bool>);

fn plain(text: &str) -> String {
    text.replace("''", "'")
}

/// Whether a pattern of `%` and `_` fits a text.
fn fits(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|at| fits(rest, &text[at..])),
        Some((one, rest)) => text.split_first().is_some_and(|(c, left)| (*one == '_' || one == c) && fits(rest, left)),
    }
}

fn like(pattern: &str, text: &str) -> bool {
    fits(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
}

fn metric(dice: &mut Dice) -> Clause {
    let (name, number) = (NAMES[dice.roll(3)], NUMBERS[dice.roll(5)]);
    let (sign, is): (_, fn(&f64, &f64) -> bool) = [
        ("=", f64::eq as fn(&f64, &f64) -> bool),
        ("!=", f64::ne),
        ("<", f64::lt),
        ("<=", f64::le),
        (">", f64::gt),
        (">=", f64::ge),
    ][dice.roll(6)];
    let holds = move |run: &Run| {
        let value = run.metrics.iter().find(|one| one.0 == name).and_then(|one| one.1);
        value.is_some_and(|value| is(&value, &number))
    };
    (format!("metrics.`{name}` {sign} {number}"), Box::new(holds))
}

fn text(dice: &mut Dice) -> Clause {
    let (name, tag) = (NAMES[dice.roll(3)], dice.roll(2) == 0);
    let subject = format!("{}.\"{name}\"", if tag { "tags" } else { "params" });
    let value = move |run: &Run| {
        let of = if tag { &run.tags } else { &run.params };
        of.iter().find(|one| one.0 == name).map(|one| plain(one.1))
    };
    let (one, pattern) = (TEXTS[dice.roll(6)], PATTERNS[dice.roll(6)]);
    match dice.roll(6) {
        0 => (format!("{subject} = '{one}'"), Box::new(move |run| value(run).is_some_and(|it| it == plain(one)))),
        1 => (format!("{subject} != '{one}'"), Box::new(move |run| value(run).is_some_and(|it| it != plain(one)))),
        2 => (
            format!("{subject} LIKE '{pattern}'"),
            Box::new(move |run| value(run).is_some_and(|it| like(&plain(pattern), &it))),
        ),
        3 => (
            format!("{subject} ILIKE '{pattern}'"),
            Box::new(move |run| value(run).is_some_and(|it| like(&plain(pattern).to_lowercase(), &it.to_lowercase()))),
        ),
        4 => (format!("{subject} IS NULL"), Box::new(move |run| value(run).is_none())),
        _ => (format!("{subject} IS NOT NULL"), Box::new(move |run| value(run).is_some())),
    }
}

/// Some runs, each with some of the names.
async fn runs(who: &Person, dice: &mut Dice) -> Vec<Run> {
    let mut all = Vec::new();
    for _ in 0..RUNS {
        let made = who.post(&format!("{API}/create"), json!({ "experiment_id": "0" })).await.ok().json();
        let mut run = Run { id: made["run"]["info"]["run_id"].as_str().unwrap().to_owned(), ..Run::default() };
        for name in NAMES {
            if dice.roll(3) > 0 {
                run.metrics.push((name, (dice.roll(6) > 0).then(|| NUMBERS[dice.roll(5)])));
            }
            if dice.roll(3) > 0 {
                run.params.push((name, TEXTS[dice.roll(6)]));
            }
            if dice.roll(3) > 0 {
                run.tags.push((name, TEXTS[dice.roll(6)]));
            }
        }
        let number = |value: Option<f64>| value.map_or(json!("NaN"), |value| json!(value));
        let pairs = |of: &[(&str, &str)]| -> Vec<Value> {
            of.iter().map(|(name, text)| json!({ "key": name, "value": plain(text) })).collect()
        };
        let metrics: Vec<_> = run.metrics.iter().map(|one| json!({ "key": one.0, "value": number(one.1) })).collect();
        let batch =
            json!({ "run_id": run.id, "metrics": metrics, "params": pairs(&run.params), "tags": pairs(&run.tags) });
        who.post(&format!("{API}/log-batch"), batch).await.ok();
        all.push(run);
    }
    all
}

both! {
    async fn what_a_filter_finds_is_what_it_says(t: T) {
        let val = t.person("Val").role(Role::Admin).await;
        let mut dice = Dice(20_261_121);
        let all = runs(&val, &mut dice).await;
        let mut found_any = 0;
        for _ in 0..FILTERS {
            let clauses: Vec<Clause> =
                (0..=dice.roll(3)).map(|_| if dice.roll(2) == 0 { metric(&mut dice) } else { text(&mut dice) }).collect();
            let filter = clauses.iter().map(|one| one.0.as_str()).collect::<Vec<_>>().join(" AND ");
            let order = format!("{}.`{}` {}", ["metrics", "params", "tags"][dice.roll(3)], NAMES[dice.roll(3)], ["ASC", "DESC"][dice.roll(2)]);
            let asked = json!({ "experiment_ids": ["0"], "filter": filter, "order_by": [order] });
            let answer = val.post(&format!("{API}/search"), asked).await.ok().json();
            let mut found: Vec<&str> = answer["runs"].as_array().into_iter().flatten().map(|run| run["info"]["run_id"].as_str().unwrap()).collect();
            let mut expected: Vec<&str> = all.iter().filter(|run| clauses.iter().all(|one| (one.1)(run))).map(|run| run.id.as_str()).collect();
            found_any += usize::from(!expected.is_empty());
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{filter}, by {order}");
        }
        assert!(found_any > FILTERS / 4, "only {found_any} filters found anything");
    }
}
