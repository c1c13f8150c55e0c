//! The list of models, and the dialogs that add and change one.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};

use super::store::{self, Choices};
use super::{ModelBody, ModelFilter, ModelList, ModelSort, ModelView, RegionUse};
use crate::app::App;
use crate::error::{self, Result};
use crate::identity::{Action, access};
use crate::ids::{ModelId, ProjectId, RegionId, UserId};
use crate::web::{Cursor, Form, Path, Query, Refusal, Shell, Toast, Visitor, back_to, filters, form, html};
use crate::words::{ModelStatus, RiskTier};

/// The pages.
pub fn pages() -> Router<App> {
    Router::new()
        .route("/models", get(list).post(create))
        .route("/models/new", get(new))
        .route("/models/{model_id}/edit", get(edit).post(update))
}

#[derive(Template)]
#[template(path = "inventory/models.html")]
struct ModelsPage {
    shell: Shell,
    list: ModelList,
    filter: ModelFilter,
    choices: Choices,
    may_add: bool,
    modal: Option<ModelForm>,
}

impl ModelsPage {
    /// The address of the list with another sort or page, all filters kept.
    fn address(&self, sort: Option<ModelSort>, cursor: Option<&Cursor>) -> String {
        #[derive(Serialize)]
        struct Kept<'a> {
            q: Option<&'a str>,
            status: Option<ModelStatus>,
            risk_tier: Option<RiskTier>,
            project_id: Option<ProjectId>,
            region_id: Option<RegionId>,
            owner: Option<&'a str>,
            sort: Option<ModelSort>,
            cursor: Option<&'a str>,
        }
        let ModelFilter { q, status, risk_tier, project_id, region_id, owner, .. } = &self.filter;
        let query = serde_html_form::to_string(Kept {
            q: q.as_deref(),
            status: *status,
            risk_tier: *risk_tier,
            project_id: *project_id,
            region_id: *region_id,
            owner: owner.as_deref(),
            sort: sort.or(self.filter.sort),
            cursor: cursor.map(Cursor::as_str),
        });
        format!("/models?{}", query.unwrap_or_default())
    }

    /// Where the heading of a sortable column leads: the order turned round if it is sorted already.
    fn sorted(&self, up: ModelSort, down: ModelSort) -> String {
        self.address(Some(if self.order() == up { down } else { up }), None)
    }

    /// `aria-sort` of a column's heading.
    fn direction(&self, up: ModelSort, down: ModelSort) -> &'static str {
        match self.order() {
            sort if sort == up => "ascending",
            sort if sort == down => "descending",
            _ => "none",
        }
    }

    fn order(&self) -> ModelSort {
        self.filter.sort.unwrap_or(ModelSort::Name)
    }

    fn is_filtered(&self) -> bool {
        let ModelFilter { q, status, risk_tier, project_id, region_id, owner, .. } = &self.filter;
        q.is_some()
            || owner.is_some()
            || status.is_some()
            || risk_tier.is_some()
            || project_id.is_some()
            || region_id.is_some()
    }
}

async fn show(app: &App, visitor: &Visitor, filter: ModelFilter, modal: Option<ModelForm>) -> Result<Response> {
    let status = modal.as_ref().map(|modal| modal.refusal.status()).unwrap_or_default();
    let shell = Shell::new(app, visitor, "models", "Models").await?;
    let list = super::list(app, &visitor.actor, &filter).await?;
    let choices = store::choices(&app.db, modal.is_some()).await?;
    let may_add = shell.adds_models;
    let page = ModelsPage { shell, list, filter, choices, may_add, modal };
    Ok((status, html(&page)?).into_response())
}

async fn list(State(app): State<App>, visitor: Visitor, Query(filter): Query<ModelFilter>) -> Result<Response> {
    show(&app, &visitor, filter, None).await
}

async fn new(State(app): State<App>, visitor: Visitor) -> Result<Response> {
    visitor.actor.may(&app, Action::ModelCreate, &[])?;
    show(&app, &visitor, ModelFilter::default(), Some(ModelForm::default())).await
}

async fn create(State(app): State<App>, form: Form<Fields>) -> Result<Response> {
    let outcome = match form.fields.body() {
        Ok(body) => super::create(&app, &form.visitor.actor, body).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(view) => Ok(saved(&view, "added")),
        Err(error) => {
            let modal = ModelForm { fields: form.fields, refusal: Refusal::of(error)?, revision: 0 };
            show(&app, &form.visitor, ModelFilter::default(), Some(modal)).await
        }
    }
}

fn saved(view: &ModelView, done: &str) -> Response {
    back_to(&format!("/models/{}", view.model_id), &Toast::done(format!("{} was {done}.", view.name)))
}

#[derive(Template)]
#[template(path = "inventory/model_edit.html")]
struct EditPage {
    shell: Shell,
    model: ModelView,
    choices: Choices,
    modal: ModelForm,
}

async fn show_edit(app: &App, visitor: &Visitor, model: ModelView, modal: ModelForm) -> Result<Response> {
    let shell = Shell::new(app, visitor, "models", format!("Change {}", model.name)).await?;
    let choices = store::choices(&app.db, true).await?;
    let status = modal.refusal.status();
    Ok((status, html(&EditPage { shell, model, choices, modal })?).into_response())
}

async fn edit(State(app): State<App>, visitor: Visitor, Path(model): Path<ModelId>) -> Result<Response> {
    access::authorise(&app, &app.db, &visitor.actor, Action::ModelEdit, model).await?;
    let view = super::view(&app, model).await?;
    let modal = ModelForm { fields: Fields::of(&view), refusal: Refusal::default(), revision: view.revision };
    show_edit(&app, &visitor, view, modal).await
}

async fn update(State(app): State<App>, Path(model): Path<ModelId>, form: Form<Fields>) -> Result<Response> {
    let actor = &form.visitor.actor;
    let outcome = match form.fields.body() {
        Ok(body) => super::update(&app, actor, model, form.fields.revision.unwrap_or_default(), body).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(view) => Ok(saved(&view, "changed")),
        Err(error) => {
            let refusal = Refusal::of(error)?;
            let view = super::get(&app, actor, model).await?;
            let modal = ModelForm { revision: view.revision, fields: form.fields, refusal };
            show_edit(&app, &form.visitor, view, modal).await
        }
    }
}

/// The form of a model, as it is shown.
#[derive(Default)]
struct ModelForm {
    fields: Fields,
    refusal: Refusal,
    revision: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields {
    name: String,
    description: String,
    owner_id: String,
    developer_id: String,
    project_id: String,
    risk_tier: String,
    status: String,
    region_id: Vec<String>,
    /// `REGION:PERSON`, one for each region with its own owner.
    regional_owner: Vec<String>,
    revision: Option<i64>,
}

impl Fields {
    fn of(view: &ModelView) -> Self {
        let owned = view.regions.iter().filter_map(|one| Some(format!("{}:{}", one.region_id, one.regional_owner_id?)));
        Self {
            name: view.name.clone(),
            description: view.description.clone(),
            owner_id: view.owner_id.to_string(),
            developer_id: view.developer_id.map(|id| id.to_string()).unwrap_or_default(),
            project_id: view.project_id.to_string(),
            risk_tier: view.risk_tier.to_string(),
            status: view.status.to_string(),
            region_id: view.regions.iter().map(|one| one.region_id.to_string()).collect(),
            regional_owner: owned.collect(),
            revision: Some(view.revision),
        }
    }

    fn body(&self) -> Result<ModelBody> {
        let mut fields = error::Fields::default();
        let owner_id = form::read(&mut fields, "owner_id", &self.owner_id, "Choose who answers for it.");
        let developer_id =
            form::read_optional(&mut fields, "developer_id", &self.developer_id, "Choose a person of the list.");
        let project_id = form::read(&mut fields, "project_id", &self.project_id, "Choose the project it belongs to.");
        let risk_tier = form::read(&mut fields, "risk_tier", &self.risk_tier, "Choose a risk tier.");
        let status = form::read(&mut fields, "status", &self.status, "Choose a status.");
        fields.check(!self.region_id.is_empty(), "regions", "A model is used in at least one region.");
        let (Some(owner_id), Some(project_id), Some(risk_tier), Some(status)) =
            (owner_id, project_id, risk_tier, status)
        else {
            fields.text("name", &self.name, 200);
            fields.done()?;
            return Err(error::Error::field("name", "The form is incomplete."));
        };
        fields.done()?;
        let (name, description) = (self.name.clone(), self.description.clone());
        let regions = self.regions();
        Ok(ModelBody { name, description, owner_id, developer_id, project_id, risk_tier, status, regions })
    }

    fn regions(&self) -> Vec<RegionUse> {
        let ids = self.region_id.iter().filter_map(|id| id.parse().ok());
        ids.map(|region_id| RegionUse { region_id, regional_owner_id: self.regional_owner(region_id) }).collect()
    }

    fn regional_owner(&self, region: RegionId) -> Option<UserId> {
        let pairs = self.regional_owner.iter().filter_map(|pair| pair.split_once(':'));
        pairs.filter(|(id, _)| *id == region.to_string()).find_map(|(_, person)| person.parse().ok())
    }

    fn is_used_in(&self, region: &RegionId) -> bool {
        self.region_id.contains(&region.to_string())
    }

    fn is_owner_in(&self, region: &RegionId, person: &UserId) -> bool {
        self.regional_owner(*region) == Some(*person)
    }
}
