//! The form to lend rights on a model, and its answers; they are listed on the model's Access tab.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use chrono::{Days, NaiveDate, NaiveTime};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Refused, answer};
use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::access;
use crate::identity::delegations::{self, DelegationView, NewDelegation};
use crate::identity::people::{self, PeopleFilter, PersonView};
use crate::identity::{Action, Actor};
use crate::ids::{DelegationId, ModelId};
use crate::web::filters;
use crate::web::{Form, Path, Shell, Toast, Visitor, back_to, html};

pub fn routes() -> Router<App> {
    Router::new()
        .route("/models/{model_id}/delegations", get(show).post(grant))
        .route("/delegations/{delegation_id}/revoke", post(revoke))
}

#[derive(Template)]
#[template(path = "identity/delegate.html")]
struct DelegatePage {
    shell: Shell,
    model_id: ModelId,
    people: Vec<PersonView>,
    fields: Fields,
    refused: Refused,
    /// The first day that a loan may end.
    tomorrow: NaiveDate,
}

/// The form, as it was typed.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    email: String,
    can_deploy: bool,
    can_submit_changes: bool,
    last_day: Option<NaiveDate>,
}

fn access_tab(model: ModelId) -> String {
    format!("/models/{model}?tab=access")
}

/// `GET /models/{model_id}/delegations`: the form, as a dialog.
async fn show(State(app): State<App>, visitor: Visitor, Path(model): Path<ModelId>) -> Result<Response> {
    access::authorise(&app, &app.db, &visitor.actor, Action::ModelDelegate, model).await?;
    page(&app, &visitor, model, StatusCode::OK, Fields { can_deploy: true, ..Fields::default() }, Refused::default())
        .await
}

async fn page(
    app: &App,
    visitor: &Visitor,
    model_id: ModelId,
    status: StatusCode,
    fields: Fields,
    refused: Refused,
) -> Result<Response> {
    let shell = Shell::new(app, visitor, "models", "Lend rights").await?;
    let active = PeopleFilter { disabled: Some(false), limit: Some(500), ..PeopleFilter::default() };
    let people = people::list_users(app, &visitor.actor, &active).await?.page.items;
    let tomorrow = app.now().date_naive() + Days::new(1);
    Ok(answer(status, html(&DelegatePage { shell, model_id, people, fields, refused, tomorrow })?))
}

/// `POST /models/{model_id}/delegations`.
async fn grant(State(app): State<App>, Path(model): Path<ModelId>, form: Form<Fields>) -> Result<Response> {
    let Form { visitor, fields } = form;
    match lend(&app, &visitor.actor, model, &fields).await.map_err(Refused::by) {
        Ok(lent) => Ok(back_to(&access_tab(model), &Toast::done(format!("Rights lent to {}.", lent.user_name)))),
        Err(refused) => {
            let (status, refused) = refused?;
            page(&app, &visitor, model, status, fields, refused).await
        }
    }
}

async fn lend(app: &App, actor: &Actor, model: ModelId, fields: &Fields) -> Result<DelegationView> {
    access::authorise(app, &app.db, actor, Action::ModelDelegate, model).await?;
    let person = people::find_user(app, actor, &fields.email).await;
    let person = person.map_err(|_| Error::field("user_id", "Nobody has this address."))?;
    let new = NewDelegation {
        user_id: person.user_id,
        can_deploy: fields.can_deploy,
        can_submit_changes: fields.can_submit_changes,
        // The last day is a whole one: rights end when the next begins, in UTC.
        expires_at: fields.last_day.and_then(|day| day.succ_opt()).map(|day| day.and_time(NaiveTime::MIN).and_utc()),
    };
    delegations::grant(app, actor, model, &new).await
}

/// `POST /delegations/{delegation_id}/revoke`.
async fn revoke(
    State(app): State<App>,
    Path(delegation): Path<DelegationId>,
    form: Form<IgnoredAny>,
) -> Result<Response> {
    let ended = delegations::revoke(&app, &form.visitor.actor, delegation).await?;
    let said = format!("{} no longer has rights on {}.", ended.user_name, ended.model_name);
    Ok(back_to(&access_tab(ended.model_id), &Toast::done(said)))
}
