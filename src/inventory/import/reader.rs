//! One row of the file as a model, or all that is wrong with it.

use chrono::NaiveDate;

use super::bind::{Bound, Person};
use super::field::{BoundDate, BoundField, OnDateError, is_blank};
use super::model::{ImportedModel, ImportedPerson, LabelledNote, RowError, RowRule, STATUSES, TIERS};
use super::table::Row;
use super::{MAX_NAME_CHARS, MAX_REGION_CODE_CHARS, one_line, shortened};
use crate::words::{ModelStatus, RiskTier};

/// The longest e-mail address, in characters.
const MAX_EMAIL_CHARS: usize = 254;
/// The label of the note that keeps a name which had to be cut.
const FULL_NAME: &str = "Full name";

/// The key of a row, or the line of the row that had it before. Empty if the row has none.
pub(super) type Key = Result<String, u64>;

/// The name of a row.
pub(super) struct Name {
    /// As the model bears it: no other has it, and it is not too long.
    pub distinct: String,
    /// As the mapping makes it.
    pub whole: String,
}

/// Reads one row. A field that is wrong leaves an error and a stand-in; no stand-in is ever seen, for a row with an
/// error has no model.
pub(super) fn read_model(
    bound: &Bound<'_>,
    row: &Row,
    key: Key,
    name: Name,
) -> Result<(ImportedModel, Vec<ImportedPerson>), Vec<RowError>> {
    let mut reader = Reader { bound, row, errors: Vec::new(), extra_notes: Vec::new() };
    let whole_name = name.whole.clone();
    let owner = reader.person(&bound.owner, "owner", true);
    let developer = bound.developer.as_ref().and_then(|person| reader.person(person, "developer", false));
    let model = ImportedModel {
        line: row.line,
        external_key: reader.key(key),
        name: reader.name(name),
        description: bound.description.as_ref().map(|field| reader.description(field)).unwrap_or_default(),
        owner: owner.as_ref().map(|person| person.email.clone()).unwrap_or_default(),
        developer: developer.as_ref().map(|person| person.email.clone()),
        team: reader.short_text(&bound.team, "team"),
        project: reader.short_text(&bound.project, "project"),
        risk_tier: reader.one_of(&bound.risk_tier, "risk tier", TIERS).unwrap_or(RiskTier::Tier1),
        status: reader.one_of(&bound.status, "status", STATUSES).unwrap_or(ModelStatus::InDevelopment),
        regions: reader.regions(),
        initiated_on: reader.date(bound.initiated_on.as_ref()),
        planned_production_date: reader.date(bound.planned_production_date.as_ref()),
        actual_production_date: reader.date(bound.actual_production_date.as_ref()),
        retired_on: reader.date(bound.retired_on.as_ref()),
        notes: Vec::new(),
    };
    let notes = reader.notes(&model.name, whole_name);
    if !reader.errors.is_empty() {
        return Err(reader.errors);
    }
    Ok((ImportedModel { notes, ..model }, owner.into_iter().chain(developer).collect()))
}

/// Gathers what is wrong with a row while its fields are read.
struct Reader<'a> {
    bound: &'a Bound<'a>,
    row: &'a Row,
    errors: Vec<RowError>,
    /// Columns whose text could not be mapped after all, or not without loss.
    extra_notes: Vec<usize>,
}

impl Reader<'_> {
    fn key(&mut self, key: Key) -> String {
        let field = &self.bound.key;
        match key {
            Ok(key) if key.is_empty() => {
                self.fail(
                    field,
                    RowRule::Required,
                    "The key is blank; without it the row cannot be found again.".into(),
                );
            }
            Ok(key) => return key,
            Err(line) => {
                let hint =
                    format!("Line {line} has the same key; choose a key that is unique, or on_repeat = \"number\".");
                self.fail(field, RowRule::RepeatedKey, hint);
            }
        }
        String::new()
    }

    fn name(&mut self, name: Name) -> String {
        if name.whole.is_empty() {
            self.missing(&self.bound.name, "name");
        }
        name.distinct
    }

    fn description(&mut self, field: &BoundField) -> String {
        one_kind_of_break(self.text(field).unwrap_or_default().trim())
    }

    /// A text of one line that must be there and short.
    fn short_text(&mut self, field: &BoundField, what: &str) -> String {
        let Some(text) = self.text(field).map(|text| one_line(&text)) else {
            return String::new();
        };
        if text.is_empty() {
            self.missing(field, what);
        }
        self.limit(field, what, text, MAX_NAME_CHARS)
    }

    fn person(&mut self, person: &Person, what: &str, required: bool) -> Option<ImportedPerson> {
        let email = self.text(&person.email)?.trim().to_lowercase();
        if email.is_empty() {
            if required {
                self.missing(&person.email, &format!("{what}'s e-mail address"));
            }
            return None;
        }
        if !is_email(&email) {
            let hint = format!("\"{}\" is not an e-mail address for the {what}.", shortened(&email, 60));
            self.fail(&person.email, RowRule::Email, hint);
        }
        let name = person.name.as_ref().and_then(|field| {
            let name = one_line(&self.text(field)?);
            Some(self.limit(field, &format!("{what}'s name"), name, MAX_NAME_CHARS))
        });
        let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| shortened(&email, MAX_NAME_CHARS));
        Some(ImportedPerson { email, name })
    }

    fn one_of<T: Copy, const N: usize>(&mut self, field: &BoundField, what: &str, names: [(&str, T); N]) -> Option<T> {
        let text = self.text(field)?;
        if text.is_empty() {
            self.missing(field, what);
            return None;
        }
        let found = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim())).map(|(_, value)| *value);
        if found.is_none() {
            let allowed = names.map(|(name, _)| name).join(", ");
            let text = shortened(&one_line(&text), 60);
            self.fail(field, RowRule::UnknownValue, format!("\"{text}\" is not a {what}; it is one of {allowed}."));
        }
        found
    }

    /// The codes in the cell, each looked up by itself, each once.
    fn regions(&mut self) -> Vec<String> {
        let field = &self.bound.regions;
        let text = field.text(self.row, &self.bound.blank);
        let mut codes: Vec<String> = Vec::new();
        let errors = self.errors.len();
        for part in text.split(self.bound.mapping.model.region_separator.as_str()) {
            let code = match field.look_up(&one_line(part)) {
                Ok(code) => self.limit(field, "region code", one_line(&code), MAX_REGION_CODE_CHARS),
                Err(hint) => {
                    self.fail(field, RowRule::UnknownValue, hint);
                    continue;
                }
            };
            if !code.is_empty() && !codes.contains(&code) {
                codes.push(code);
            }
        }
        if codes.is_empty() && self.errors.len() == errors {
            self.missing(field, "region");
        }
        codes
    }

    fn date(&mut self, date: Option<&BoundDate>) -> Option<NaiveDate> {
        let date = date?;
        let text = self.row.cell(date.column);
        if is_blank(text, &self.bound.blank) {
            return None;
        }
        match (date.parse(text), date.field.on_error) {
            (Some((day, exact)), _) => {
                if !exact {
                    self.extra_notes.push(date.column);
                }
                return Some(day);
            }
            (None, OnDateError::Skip) => {}
            (None, OnDateError::Note) => self.extra_notes.push(date.column),
            (None, OnDateError::Error) => {
                let formats = date.field.formats.join(", ");
                let text = shortened(&one_line(text), 60);
                let hint = format!("\"{text}\" is not a date in one of the mapping's formats ({formats}) and bounds.");
                self.fail_at(Some(date.column), RowRule::Date, hint);
            }
        }
        None
    }

    /// The columns that are kept as notes, in order, and the whole name if it had to be cut.
    fn notes(&self, name: &str, whole_name: String) -> Vec<LabelledNote> {
        let mut columns = self.bound.notes.clone();
        columns.extend(&self.extra_notes);
        let was_cut = whole_name.chars().count() > MAX_NAME_CHARS && name != whole_name;
        let full_name = was_cut.then(|| LabelledNote { label: FULL_NAME.to_owned(), text: whole_name });
        let note = |column: usize| LabelledNote {
            label: self.bound.labels[column].clone(),
            text: one_kind_of_break(self.row.cell(column)),
        };
        full_name.into_iter().chain(columns.into_iter().map(note).filter(|note| !note.text.is_empty())).collect()
    }

    /// The text of a field after its table of values; none, with an error, if the table does not know it.
    fn text(&mut self, field: &BoundField) -> Option<String> {
        let found = field.look_up(&field.text(self.row, &self.bound.blank));
        found.map_err(|hint| self.fail(field, RowRule::UnknownValue, hint)).ok()
    }

    fn limit(&mut self, field: &BoundField, what: &str, text: String, limit: usize) -> String {
        if text.chars().count() > limit {
            self.fail(field, RowRule::TooLong, format!("The {what} has more than {limit} characters; shorten it."));
        }
        text
    }

    fn missing(&mut self, field: &BoundField, what: &str) {
        self.fail(
            field,
            RowRule::Required,
            format!("The {what} is needed and blank; fill it in, or give a when_blank."),
        );
    }

    fn fail(&mut self, field: &BoundField, rule: RowRule, hint: String) {
        self.fail_at(field.columns().first().copied(), rule, hint);
    }

    fn fail_at(&mut self, column: Option<usize>, rule: RowRule, hint: String) {
        self.errors.push(RowError {
            line: self.row.line,
            column_index: column.map(|column| column + 1),
            column: column.map(|column| self.bound.header.0[column].clone()),
            value: column.map(|column| shortened(&one_line(self.row.cell(column)), 80)).unwrap_or_default(),
            rule,
            hint,
        });
    }
}

fn one_kind_of_break(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Whether a text can be an e-mail address at all; whether it is one, only sending tells.
fn is_email(text: &str) -> bool {
    let sound = |part: &str| !part.is_empty() && !part.contains(['@', '"', '<', '>', ',', ';']);
    let length = text.chars().count() <= MAX_EMAIL_CHARS;
    let spaced = text.contains(|c: char| c.is_whitespace() || c.is_control());
    length && !spaced && text.split_once('@').is_some_and(|(local, domain)| sound(local) && sound(domain))
}
