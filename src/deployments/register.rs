//! The form that registers an endpoint which others run.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::{NewExternal, external};
use crate::app::App;
use crate::environments;
use crate::error::{Error, Result};
use crate::identity::Action;
use crate::inventory::versions;
use crate::metrics::{Mapping, MetricsPage, MetricsSource, PrometheusQueries};
use crate::web::form::read;
use crate::web::{Form, Query, Refusal, Select, Shell, Toast, Visitor, back_to, filters, html};

#[derive(Template)]
#[template(path = "deployments/register.html")]
struct RegisterPage {
    shell: Shell,
    fields: Fields,
    refusal: Refusal,
    version: Select,
    environment: Select,
    source: Select,
}

/// What the form holds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    version_id: String,
    environment_id: String,
    endpoint: String,
    readiness_url: String,
    source: String,
    metrics: String,
    requests: String,
    errors: String,
    durations: String,
    unit: String,
}

impl Fields {
    fn body(&self) -> Result<NewExternal> {
        let mut fields = crate::error::Fields::default();
        let version = read(&mut fields, "version_id", &self.version_id, "Choose a version.");
        let environment = read(&mut fields, "environment_id", &self.environment_id, "Choose an environment.");
        fields.done()?;
        let (Some(version_id), Some(environment_id)) = (version, environment) else {
            return Err(Error::field("version_id", "Choose a version."));
        };
        let (endpoint, readiness_url) = (self.endpoint.clone(), Some(self.readiness_url.clone()));
        Ok(NewExternal { environment_id, version_id, endpoint, readiness_url, metrics: self.source() })
    }

    fn source(&self) -> Option<MetricsSource> {
        let unit = if self.unit.trim().is_empty() { "1" } else { self.unit.trim() }.to_owned();
        let [requests, errors, durations] =
            [&self.requests, &self.errors, &self.durations].map(|text| text.trim().to_owned());
        let address = self.metrics.trim().to_owned();
        match self.source.as_str() {
            "page" => {
                let mapping = Mapping { requests, errors, durations, unit, labels: BTreeMap::new() };
                Some(MetricsSource::Page(MetricsPage { url: address, mapping }))
            }
            "prometheus" => Some(MetricsSource::Queries(PrometheusQueries {
                prometheus: address,
                requests,
                errors,
                durations,
                unit,
            })),
            _ => None,
        }
    }
}

async fn page(app: &App, visitor: &Visitor, fields: Fields, refusal: Refusal) -> Result<Response> {
    visitor.actor.may(app, Action::EnvironmentManage, &[])?;
    let version = versions::select(app, &visitor.actor, false, &fields.version_id).await?;
    let places = environments::list(app, &visitor.actor).await?;
    let chosen = Some(&fields.environment_id);
    let environment = Select::filter("environment_id", "Environment", places, chosen, |one| {
        (one.environment_id, format!("{} ({})", one.name, one.stage))
    });
    let sources = [("", "Nowhere"), ("page", "Its page of metrics"), ("prometheus", "A Prometheus server")];
    let source =
        Select::filter("source", "Statistics are read at", sources, Some(&fields.source), |one| one).required();
    let status = refusal.status();
    let shell = Shell::new(app, visitor, "deployments", "Register an endpoint").await?;
    let environment = environment.required();
    let page = RegisterPage { shell, fields, refusal, version, environment, source };
    Ok((status, html(&page)?).into_response())
}

/// `GET /deployments/register`
pub async fn form(State(app): State<App>, visitor: Visitor, Query(fields): Query<Fields>) -> Result<Response> {
    page(&app, &visitor, fields, Refusal::default()).await
}

/// `POST /deployments/register`
pub async fn submit(State(app): State<App>, form: Form<Fields>) -> Result<Response> {
    let outcome = match form.fields.body() {
        Ok(body) => external::register(&app, &form.visitor.actor, body).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(made) => {
            let says = format!("{} {} was registered at {}.", made.model_name, made.version_number, made.endpoint);
            Ok(back_to(&format!("/deployments/{}", made.deployment_id), &Toast::done(says)))
        }
        Err(error) => page(&app, &form.visitor, form.fields, Refusal::of(error)?).await,
    }
}
