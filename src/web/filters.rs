//! Template filters: icons, assets, and how values read. Bring it into scope beside a template.

#![expect(missing_docs, reason = "the attribute macro expands to items without documentation")]

use askama::Values;
use askama::filters::Safe;
use chrono::{DateTime, Utc};

use super::format;

/// `{{ "lock"|icon }}`: an icon of the sprite.
#[askama::filter_fn]
pub fn icon(name: impl std::fmt::Display, _: &dyn Values) -> askama::Result<Safe<String>> {
    Ok(Safe(format!(r##"<svg class="icon" aria-hidden="true"><use href="/static/icons.svg#{name}"></use></svg>"##)))
}

/// `{{ "app.css"|asset }}`: the address of an asset.
#[askama::filter_fn]
pub fn asset(path: &str, _: &dyn Values) -> askama::Result<String> {
    Ok(super::assets::address(path))
}

/// `{{ at|when(now) }}`: an instant as a `<time>`, relative, with the exact instant on hover.
#[askama::filter_fn]
pub fn when(at: &DateTime<Utc>, _: &dyn Values, now: &DateTime<Utc>) -> askama::Result<Safe<String>> {
    let (exact, relative) = (format::instant(at), format::relative(at, now));
    let machine = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    Ok(Safe(format!(r#"<time datetime="{machine}" title="{exact}" data-rel>{relative}</time>"#)))
}

/// `{{ date|dash }}`: an optional value, or a dash.
#[askama::filter_fn]
pub fn dash<T: std::fmt::Display>(value: &Option<T>, _: &dyn Values) -> askama::Result<String> {
    Ok(value.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string))
}

/// `{{ 12345|thousands }}`: `12,345`.
#[askama::filter_fn]
pub fn thousands(number: impl std::borrow::Borrow<i64>, _: &dyn Values) -> askama::Result<String> {
    Ok(format::thousands(*number.borrow()))
}

/// `{{ 2|count_of("task") }}`: `2 tasks`.
#[askama::filter_fn]
pub fn count_of(number: impl std::borrow::Borrow<i64>, _: &dyn Values, word: &str) -> askama::Result<String> {
    Ok(format::plural(*number.borrow(), word))
}

/// `{{ digest|short }}`: the first 12 characters.
#[askama::filter_fn]
pub fn short(text: &str, _: &dyn Values) -> askama::Result<String> {
    Ok(text.chars().take(12).collect())
}

/// `{{ "VALUE_LIKE_THIS"|words }}`: `Value like this`.
#[askama::filter_fn]
pub fn words(text: impl std::fmt::Display, _: &dyn Values) -> askama::Result<String> {
    Ok(format::words(&text.to_string()))
}

/// `{{ user_agent|browser }}`: `Firefox on Linux`.
#[askama::filter_fn]
pub fn browser(user_agent: &str, _: &dyn Values) -> askama::Result<String> {
    Ok(format::browser(user_agent))
}
