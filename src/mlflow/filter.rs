//! MLflow's language of filters and orders: `metrics.auc > 0.8 AND tags.team = 'risk'`. Pure.
//!
//! It is read into clauses whose names and values only ever become parameters of a statement.

use super::answers::wrong;
use crate::error::Result;

/// What a clause or an order looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One of the thing's own fields.
    Attribute(String),
    /// A metric, by name.
    Metric(String),
    /// A parameter, by name.
    Param(String),
    /// A tag, by name.
    Tag(String),
    /// A field of a data set that a run read.
    Dataset(String),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    Different,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// The operator in SQL, with the spaces around it.
    #[must_use]
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Equal => " = ",
            Self::Different => " <> ",
            Self::Less => " < ",
            Self::LessOrEqual => " <= ",
            Self::Greater => " > ",
            Self::GreaterOrEqual => " >= ",
        }
    }
}

/// What a clause asks of its subject.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// That it compares so to a text.
    Text(Comparison, String),
    /// That it compares so to a number.
    Number(Comparison, f64),
    /// That it is like a pattern; the flag says to ignore case.
    Like(String, bool),
    /// That it is one of a list, or none of them.
    In(Vec<String>, bool),
    /// That there is such a thing, or none.
    Exists(bool),
}

/// One condition; a filter is all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Clause {
    /// What it looks at.
    pub subject: Subject,
    /// What it asks.
    pub test: Test,
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What is looked at.
    pub subject: Subject,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// A piece of the text.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A name, with what follows its first dot; the flag says that it stood in quotes, and is no keyword.
    Name(String, Option<String>, bool),
    Text(String),
    Number(f64),
    Compare(Comparison),
    Open,
    Close,
    Comma,
}

/// How many clauses a filter has at most.
const MOST_CLAUSES: usize = 50;

/// Reads a filter. An empty one asks nothing.
///
/// # Errors
/// `malformed`, saying where it cannot be understood.
pub fn parse(text: &str) -> Result<Vec<Clause>> {
    let mut rest = Tokens { tokens: tokens(text)?, at: 0 };
    let mut clauses = Vec::new();
    while !rest.is_done() {
        if !clauses.is_empty() && !rest.take_word("and") {
            return Err(wrong("Clauses of a filter are joined by AND, and by nothing else."));
        }
        if clauses.len() == MOST_CLAUSES {
            return Err(wrong(format!("A filter has at most {MOST_CLAUSES} clauses.")));
        }
        clauses.push(clause(&mut rest)?);
    }
    Ok(clauses)
}

/// Reads one key of an order: `metrics.auc DESC`.
///
/// # Errors
/// `malformed`, saying what is wrong with it.
pub fn parse_order(text: &str) -> Result<Order> {
    let mut rest = Tokens { tokens: tokens(text)?, at: 0 };
    let subject = subject(&mut rest)?;
    let descending = rest.take_word("desc");
    if !descending {
        rest.take_word("asc");
    }
    if rest.is_done() {
        Ok(Order { subject, descending })
    } else {
        Err(wrong(format!("“{text}” is no order: write a name, then ASC or DESC.")))
    }
}

struct Tokens {
    tokens: Vec<Token>,
    at: usize,
}

impl Tokens {
    fn is_done(&self) -> bool {
        self.at == self.tokens.len()
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += usize::from(token.is_some());
        token
    }

    /// Takes the next piece if it is this keyword.
    fn take_word(&mut self, word: &str) -> bool {
        let is =
            matches!(self.tokens.get(self.at), Some(Token::Name(name, None, false)) if name.eq_ignore_ascii_case(word));
        self.at += usize::from(is);
        is
    }
}

fn subject(rest: &mut Tokens) -> Result<Subject> {
    let Some(Token::Name(first, second, _)) = rest.next() else {
        return Err(wrong("A clause begins with a name, such as metrics.loss or tags.team."));
    };
    let Some(name) = second else { return Ok(Subject::Attribute(first)) };
    match first.as_str() {
        "metric" | "metrics" => Ok(Subject::Metric(name)),
        "param" | "params" | "parameter" | "parameters" => Ok(Subject::Param(name)),
        "tag" | "tags" => Ok(Subject::Tag(name)),
        "attribute" | "attributes" | "attr" | "run" => Ok(Subject::Attribute(name)),
        "dataset" | "datasets" => Ok(Subject::Dataset(name)),
        other => Err(wrong(format!(
            "“{other}” is no kind of name; there are metrics, params, tags, attributes and datasets."
        ))),
    }
}

fn clause(rest: &mut Tokens) -> Result<Clause> {
    let subject = subject(rest)?;
    let test = if rest.take_word("is") {
        let exists = rest.take_word("not");
        if !rest.take_word("null") {
            return Err(wrong("After IS comes NULL or NOT NULL."));
        }
        Test::Exists(exists)
    } else if rest.take_word("like") {
        Test::Like(text_value(rest)?, false)
    } else if rest.take_word("ilike") {
        Test::Like(text_value(rest)?, true)
    } else if rest.take_word("in") {
        Test::In(list(rest)?, true)
    } else if rest.take_word("not") {
        if !rest.take_word("in") {
            return Err(wrong("After NOT comes IN."));
        }
        Test::In(list(rest)?, false)
    } else {
        compare(rest)?
    };
    Ok(Clause { subject, test })
}

fn compare(rest: &mut Tokens) -> Result<Test> {
    let Some(Token::Compare(comparison)) = rest.next() else {
        return Err(wrong("After the name comes one of =, !=, <, <=, >, >=, LIKE, ILIKE, IN, IS NULL."));
    };
    match rest.next() {
        Some(Token::Text(text)) => Ok(Test::Text(comparison, text)),
        Some(Token::Number(number)) => Ok(Test::Number(comparison, number)),
        _ => Err(wrong("After the comparison comes a number, or a text in single quotes.")),
    }
}

fn text_value(rest: &mut Tokens) -> Result<String> {
    match rest.next() {
        Some(Token::Text(text)) => Ok(text),
        _ => Err(wrong("A pattern is a text in single quotes.")),
    }
}

fn list(rest: &mut Tokens) -> Result<Vec<String>> {
    const RULE: &str = "A list is texts in single quotes, with commas between, in parentheses.";
    let mut items = Vec::new();
    if rest.next() != Some(Token::Open) {
        return Err(wrong(RULE));
    }
    loop {
        match rest.next() {
            Some(Token::Text(text)) => items.push(text),
            Some(Token::Close) if items.is_empty() => return Err(wrong(RULE)),
            _ => return Err(wrong(RULE)),
        }
        match rest.next() {
            Some(Token::Comma) => (),
            Some(Token::Close) => return Ok(items),
            _ => return Err(wrong(RULE)),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '(' => (Token::Open, &rest[1..]),
            ')' => (Token::Close, &rest[1..]),
            ',' => (Token::Comma, &rest[1..]),
            '=' => (Token::Compare(Comparison::Equal), rest[1..].strip_prefix('=').unwrap_or(&rest[1..])),
            '!' | '<' | '>' => operator(rest)?,
            '\'' => quoted(rest, '\'').map(|(text, after)| (Token::Text(text), after))?,
            '"' => double_quoted(rest, &found)?,
            '0'..='9' | '-' | '+' | '.' => number(rest)?,
            _ => name(rest)?,
        };
        found.push(token);
        rest = after.trim_start();
    }
    Ok(found)
}

fn operator(text: &str) -> Result<(Token, &str)> {
    let known = [
        ("!=", Comparison::Different),
        ("<>", Comparison::Different),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    known
        .into_iter()
        .find_map(|(sign, comparison)| text.strip_prefix(sign).map(|after| (Token::Compare(comparison), after)))
        .ok_or_else(|| wrong("“!” is no comparison; write !=."))
}

/// A text in quotes, which stand in it twice if they belong to it.
fn quoted(text: &str, quote: char) -> Result<(String, &str)> {
    let mut content = String::new();
    let mut rest = &text[quote.len_utf8()..];
    while let Some(end) = rest.find(quote) {
        content.push_str(&rest[..end]);
        rest = &rest[end + quote.len_utf8()..];
        match rest.strip_prefix(quote) {
            Some(after) => {
                content.push(quote);
                rest = after;
            }
            None => return Ok((content, rest)),
        }
    }
    Err(wrong(format!("A quotation that begins with {quote} does not end.")))
}

/// In double quotes stands a name where a name is due, else a text.
fn double_quoted<'a>(text: &'a str, before: &[Token]) -> Result<(Token, &'a str)> {
    let value_is_due = match before.last() {
        Some(Token::Compare(_) | Token::Open | Token::Comma) => true,
        Some(Token::Name(name, None, false)) => ["like", "ilike"].iter().any(|word| name.eq_ignore_ascii_case(word)),
        _ => false,
    };
    if value_is_due {
        return quoted(text, '"').map(|(text, after)| (Token::Text(text), after));
    }
    name(text)
}

fn number(text: &str) -> Result<(Token, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'))).unwrap_or(text.len());
    let (digits, after) = text.split_at(end);
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((Token::Number(number), after)),
        _ => Err(wrong(format!("“{digits}” is no number."))),
    }
}

/// A name, or a kind of name, a dot, and the name itself; each may stand in backticks or double quotes.
fn name(text: &str) -> Result<(Token, &str)> {
    let (first, was_quoted, after) = name_part(text, false)?;
    match after.strip_prefix('.') {
        Some(after) => {
            let (second, _, after) = name_part(after, true)?;
            Ok((Token::Name(first, Some(second), true), after))
        }
        None => Ok((Token::Name(first, None, was_quoted), after)),
    }
}

fn name_part(text: &str, with_dots: bool) -> Result<(String, bool, &str)> {
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '`' | '"')) {
        let (name, after) = quoted(text, quote)?;
        return Ok((name, true, after));
    }
    let ends = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | ':') || (with_dots && c == '.'));
    let (name, after) = text.split_at(text.find(ends).unwrap_or(text.len()));
    match text.chars().next() {
        _ if !name.is_empty() => Ok((name.to_owned(), false, after)),
        Some(c) => Err(wrong(format!("“{c}” has no meaning there."))),
        None => Err(wrong("The filter ends where a name is due.")),
    }
}
