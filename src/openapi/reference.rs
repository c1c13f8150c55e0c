//! The reference page: the description, laid out for reading.

use askama::Template;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use crate::error::Code;
use crate::web::{Shell, filters};

#[derive(Template)]
#[template(path = "openapi/reference.html")]
pub struct ReferencePage<'a> {
    pub shell: Shell,
    pub reference: &'a Reference,
}

#[derive(Template)]
#[template(path = "openapi/errors.html")]
pub struct ErrorsPage {
    pub shell: Shell,
    pub codes: &'static [&'static Code],
}

/// Everything the page shows, read once when the server starts.
#[derive(Debug)]
pub struct Reference {
    pub groups: Vec<Group>,
    pub schemas: Vec<Schema>,
}

#[derive(Debug)]
pub struct Group {
    pub name: String,
    pub anchor: String,
    pub about: String,
    pub operations: Vec<Operation>,
}

#[derive(Debug)]
pub struct Operation {
    pub id: String,
    pub method: String,
    pub path: String,
    pub summary: String,
    pub description: String,
    pub parameters: Vec<Field>,
    pub media: String,
    pub body: Vec<Field>,
    pub answers: Vec<Answer>,
    pub curl: String,
}

/// A parameter, or a field of a body.
#[derive(Debug)]
pub struct Field {
    pub name: String,
    /// Where a parameter stands: path, query or header; empty for a field.
    pub place: String,
    pub form: Form,
    pub required: bool,
    pub about: String,
}

/// What a value looks like, and the schema that says more.
#[derive(Debug, Default)]
pub struct Form {
    pub text: String,
    pub schema: Option<String>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: String,
    pub about: String,
    pub form: Form,
}

#[derive(Debug)]
pub struct Schema {
    pub name: String,
    pub about: String,
    pub form: String,
    pub fields: Vec<Field>,
}

impl Reference {
    /// Lays out a description.
    pub fn read(document: &OpenApi) -> Self {
        let reader = Reader { document: serde_json::to_value(document).unwrap_or_default() };
        Self { groups: reader.groups(), schemas: reader.schemas() }
    }
}

struct Reader {
    document: Value,
}

impl Reader {
    fn groups(&self) -> Vec<Group> {
        list(&self.document["tags"])
            .map(|tag| {
                let name = text(&tag["name"]);
                Group {
                    anchor: slug(&name),
                    about: text(&tag["description"]),
                    operations: self.operations(&name),
                    name,
                }
            })
            .collect()
    }

    fn operations(&self, tag: &str) -> Vec<Operation> {
        let mut found = Vec::new();
        for (path, item) in entries(&self.document["paths"]) {
            for method in ["get", "post", "put", "patch", "delete"] {
                let operation = &item[method];
                if list(&operation["tags"]).any(|one| one == tag) {
                    found.push(self.operation(path, method, operation));
                }
            }
        }
        found
    }

    fn operation(&self, path: &str, method: &str, operation: &Value) -> Operation {
        let (media, content) = media(&operation["requestBody"]["content"]);
        let summary = text(&operation["summary"]);
        let description = text(&operation["description"]);
        Operation {
            id: text(&operation["operationId"]),
            method: method.to_uppercase(),
            path: path.to_owned(),
            description: description.trim_start_matches(&summary).trim().to_owned(),
            summary,
            parameters: list(&operation["parameters"]).map(|one| self.parameter(one)).collect(),
            body: self.fields(&content["schema"]),
            answers: entries(&operation["responses"]).map(|(status, one)| self.answer(status, one)).collect(),
            curl: self.curl(path, method, operation),
            media,
        }
    }

    fn parameter(&self, parameter: &Value) -> Field {
        Field {
            name: text(&parameter["name"]),
            place: text(&parameter["in"]),
            form: self.form(&parameter["schema"]),
            required: parameter["required"] == true,
            about: text(&parameter["description"]),
        }
    }

    fn answer(&self, status: &str, answer: &Value) -> Answer {
        let answer = self.resolve(answer);
        let (_, content) = media(&answer["content"]);
        Answer { status: status.to_owned(), about: text(&answer["description"]), form: self.form(&content["schema"]) }
    }

    fn schemas(&self) -> Vec<Schema> {
        entries(&self.document["components"]["schemas"])
            .map(|(name, schema)| Schema {
                name: name.to_owned(),
                about: text(&schema["description"]),
                form: self.form(schema).text,
                fields: self.fields(schema),
            })
            .collect()
    }

    /// The thing that a `$ref` names, or the thing itself.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let target = value["$ref"].as_str().and_then(|name| self.document.pointer(name.trim_start_matches('#')));
        target.unwrap_or(value)
    }

    /// The fields of an object, those of its parts included.
    fn fields(&self, schema: &Value) -> Vec<Field> {
        let schema = self.resolve(schema);
        let mut fields: Vec<Field> = list(&schema["allOf"]).flat_map(|part| self.fields(part)).collect();
        for (name, field) in entries(&schema["properties"]) {
            fields.push(Field {
                name: name.to_owned(),
                place: String::new(),
                form: self.form(field),
                required: list(&schema["required"]).any(|one| one == name),
                about: text(&field["description"]),
            });
        }
        fields
    }

    fn form(&self, schema: &Value) -> Form {
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
            return Form { text: name.to_owned(), schema: Some(name.to_owned()) };
        }
        let alternatives: Vec<Form> =
            ["oneOf", "anyOf"].iter().flat_map(|one| list(&schema[*one])).map(|one| self.form(one)).collect();
        if !alternatives.is_empty() {
            let words: Vec<_> = alternatives.iter().map(|one| one.text.as_str()).collect();
            return Form { text: words.join(" or "), schema: alternatives.iter().find_map(|one| one.schema.clone()) };
        }
        let words: Vec<String> = list(&schema["enum"]).map(text).collect();
        if !words.is_empty() {
            return Form { text: words.join(" | "), schema: None };
        }
        if !schema["items"].is_null() {
            let item = self.form(&schema["items"]);
            return Form { text: format!("list of {}", item.text), schema: item.schema };
        }
        Form { text: plain(schema), schema: None }
    }

    fn curl(&self, path: &str, method: &str, operation: &Value) -> String {
        let mut path = path.to_owned();
        let mut lines = Vec::new();
        for parameter in list(&operation["parameters"]).filter(|one| one["required"] == true) {
            let name = text(&parameter["name"]);
            let example = match self.example(&parameter["schema"], 0) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            match parameter["in"].as_str() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), &example),
                Some("query") => {
                    path += &format!("{}{name}={example}", if path.contains('?') { '&' } else { '?' });
                }
                Some("header") if name.eq_ignore_ascii_case("if-match") => {
                    lines.push("-H 'If-Match: \"1\"'".to_owned());
                }
                _ => lines.push(format!("-H '{name}: {example}'")),
            }
        }
        let (kind, content) = media(&operation["requestBody"]["content"]);
        if kind == "application/json" {
            lines.push("-H 'Content-Type: application/json'".to_owned());
            lines.push(format!("-d '{}'", self.example(&content["schema"], 0).to_string().replace('\'', "’")));
        } else if kind.starts_with("multipart") {
            lines.push("-F file=@FILE".to_owned());
        } else if !kind.is_empty() {
            lines.push(format!("-H 'Content-Type: {kind}'"));
            lines.push("--data-binary @FILE".to_owned());
        }
        let verb = if method == "get" { String::new() } else { format!("-X {} ", method.to_uppercase()) };
        let head = format!("curl {verb}\"$COUNTERSIGN/api/v1{path}\" -H \"Authorization: Bearer $TOKEN\"");
        std::iter::once(head).chain(lines).collect::<Vec<_>>().join(" \\\n  ")
    }

    /// A value that fits a schema: its own example, or one made up; optional fields are left out.
    fn example(&self, schema: &Value, depth: usize) -> Value {
        let schema = self.resolve(schema);
        if let Some(example) = schema.get("example").or_else(|| schema.get("default")) {
            return example.clone();
        }
        if let Some(first) = list(&schema["enum"]).next() {
            return first.clone();
        }
        let of_alternatives = ["oneOf", "anyOf", "allOf"].iter().flat_map(|one| list(&schema[*one]));
        if let Some(one) = of_alternatives.into_iter().find(|one| one["type"] != "null") {
            return self.example(one, depth);
        }
        match kinds(schema).first().map(String::as_str) {
            Some("integer" | "number") => json!(1),
            Some("boolean") => json!(true),
            Some("array") if depth < 4 => json!([self.example(&schema["items"], depth + 1)]),
            Some("object") if depth < 4 => {
                let required: Vec<&str> = list(&schema["required"]).filter_map(Value::as_str).collect();
                let fields = entries(&schema["properties"]).filter(|(name, _)| required.contains(name));
                Value::Object(
                    fields.map(|(name, one)| (name.to_owned(), self.example(one, depth + 1))).collect::<Map<_, _>>(),
                )
            }
            _ => match schema["format"].as_str() {
                Some("date") => json!("2026-03-31"),
                Some("date-time") => json!("2026-03-31T12:00:00Z"),
                _ => json!("text"),
            },
        }
    }
}

/// The types of a schema, without "null".
fn kinds(schema: &Value) -> Vec<String> {
    match &schema["type"] {
        Value::Array(many) => many.iter().map(text).filter(|kind| kind != "null").collect(),
        other => vec![text(other)],
    }
}

/// A plain type with its limits, in words.
fn plain(schema: &Value) -> String {
    let mut words = kinds(schema).join(" or ");
    if let Some(format) = schema["format"].as_str().filter(|format| !format.starts_with("int")) {
        words += &format!(", {format}");
    }
    for (limit, phrase) in [
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "at least this long:"),
        ("maxLength", "at most this long:"),
    ] {
        if !schema[limit].is_null() {
            words += &format!(", {phrase} {}", schema[limit]);
        }
    }
    if list(&schema["type"]).any(|kind| kind == "null") {
        words += " or null";
    }
    words
}

/// The first kind of body that is described.
fn media(content: &Value) -> (String, &Value) {
    entries(content).next().map_or((String::new(), &Value::Null), |(name, content)| (name.to_owned(), content))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn slug(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}
