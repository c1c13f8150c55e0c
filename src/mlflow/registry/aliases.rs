//! Aliases: names that move from version to version. What means production names only what is approved.

use super::versions::{self, Approval, VersionView};
use super::{
    Act, Action, Actor, App, Done, Error, Record, Result, access, authorised, error, json, missing, rules, store, wrong,
};

/// Points an alias at a version.
///
/// # Errors
/// `not_found`, `forbidden`, `malformed`, or `validation_not_approved` if the alias means production and the version
/// is not approved.
pub async fn set_alias(app: &App, actor: &Actor, name: &str, alias: &str, number: i64) -> Result<Done> {
    let model = authorised(app, actor, Action::VersionSubmit, name).await?;
    rules::check_name("alias", alias)?;
    let digits = alias.strip_prefix(['v', 'V']).unwrap_or_default();
    if alias.eq_ignore_ascii_case("latest") || (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())) {
        return Err(wrong(format!("“{alias}” always means a version by its number, and cannot be an alias.")));
    }
    let mut act = Act::begin(app, &actor.who).await?;
    access::lock_models(&mut act.tx, &[model]).await?;
    let approval = versions::approval(&mut act.tx, model, number).await?;
    let approval = approval.ok_or_else(|| missing("model version", &format!("{name}, {number}")))?;
    check_production(app, name, alias, &approval)?;
    let before = store::alias(&mut act.tx, model, alias).await?;
    store::set_alias(&mut act.tx, model, alias, approval.version_id, actor.user_id, act.now).await?;
    act.record(
        Record::new("model.alias_set", "model", model)
            .model(model)
            .before(json!({ "alias": alias, "version": before }))
            .after(json!({ "alias": alias, "version": approval.number })),
    );
    act.tell("models");
    act.commit().await?;
    Ok(Done {})
}

/// Refuses an alias that means production for a version that is not approved.
fn check_production(app: &App, name: &str, alias: &str, approval: &Approval) -> Result<()> {
    let production = app.settings.production_aliases.iter().any(|one| one.eq_ignore_ascii_case(alias));
    if !production || approval.is_given() {
        return Ok(());
    }
    let lacks = match approval.validation_state {
        Some(state) => format!("its validation is {state}, not APPROVED"),
        None => "it has no validation yet".to_owned(),
    };
    let sentence = format!(
        "The alias “{alias}” means production, and version {} of {name} is not approved: {lacks}. Ask for its validation, \
         and have it approved, first.",
        approval.number
    );
    Err(Error::new(&error::VALIDATION_NOT_APPROVED, sentence))
}

/// Takes an alias away.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn delete_alias(app: &App, actor: &Actor, name: &str, alias: &str) -> Result<Done> {
    let model = authorised(app, actor, Action::VersionSubmit, name).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    access::lock_models(&mut act.tx, &[model]).await?;
    if let Some(before) = store::alias(&mut act.tx, model, alias).await? {
        store::delete_alias(&mut act.tx, model, alias).await?;
        let before = json!({ "alias": alias, "version": before });
        act.record(Record::new("model.alias_removed", "model", model).model(model).before(before));
        act.tell("models");
    }
    act.commit().await?;
    Ok(Done {})
}

/// The version that an alias names.
///
/// # Errors
/// `not_found`; `validation_not_approved` if the alias means production and the approval has lapsed since.
pub async fn get_by_alias(app: &App, actor: &Actor, name: &str, alias: &str) -> Result<VersionView> {
    let model = super::seen(app, actor, name).await?.model_id;
    let number = store::alias_number(&app.db, model, alias).await?;
    let number = number.ok_or_else(|| missing("registered model alias", alias))?;
    let approval = versions::approval(&app.db, model, number).await?;
    let approval = approval.ok_or_else(|| missing("registered model alias", alias))?;
    check_production(app, name, alias, &approval)?;
    versions::get(app, actor, name, number).await
}

/// The number of the version that an alias names, for somebody who sees the model.
pub(super) async fn alias_number(app: &App, actor: &Actor, name: &str, alias: &str) -> Result<Option<i64>> {
    let model = super::seen(app, actor, name).await?.model_id;
    Ok(store::alias_number(&app.db, model, alias).await?)
}
