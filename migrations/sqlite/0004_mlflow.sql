-- What MLflow clients keep beside runs: experiments' tags, inputs, logged models, files, the registry's tags and aliases.

-- The number that MLflow clients know a version by: 1, 2, 3, … of its model, never given twice.
ALTER TABLE versions ADD COLUMN ordinal BIGINT;
UPDATE versions SET ordinal = (SELECT COUNT(*) FROM versions o WHERE o.model_id = versions.model_id AND o.version_id <= versions.version_id);
CREATE UNIQUE INDEX versions_by_ordinal ON versions (model_id, ordinal);
ALTER TABLE retired_version_numbers ADD COLUMN ordinal BIGINT;

-- Where a version's files came from: as the client said it; the run or logged model that holds them, and the folder in it,
-- which is sealed while the version exists; and the run, which may have become other versions, too.
ALTER TABLE versions ADD COLUMN source TEXT;
ALTER TABLE versions ADD COLUMN source_holder TEXT;
ALTER TABLE versions ADD COLUMN source_folder TEXT;
ALTER TABLE versions ADD COLUMN run_uuid TEXT;
CREATE INDEX versions_by_source ON versions (source_holder) WHERE source_holder IS NOT NULL;
CREATE INDEX versions_by_run ON versions (run_uuid) WHERE run_uuid IS NOT NULL;
CREATE INDEX versions_newest ON versions (created_at, version_id);

CREATE INDEX training_jobs_by_start ON training_jobs (experiment_id, COALESCE(started_at, created_at), job_id);

CREATE TABLE experiment_tags (
    experiment_id BIGINT NOT NULL REFERENCES experiments,
    name          TEXT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (experiment_id, name)
);

CREATE TABLE model_tags (
    model_id BIGINT NOT NULL REFERENCES models,
    name     TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (model_id, name)
);
CREATE INDEX model_tags_by_value ON model_tags (name, value, model_id);

CREATE TABLE version_tags (
    version_id BIGINT NOT NULL REFERENCES versions ON DELETE CASCADE,
    name       TEXT NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (version_id, name)
);
CREATE INDEX version_tags_by_value ON version_tags (name, value, version_id);

-- A name that moves from version to version.
CREATE TABLE model_aliases (
    model_id   BIGINT NOT NULL REFERENCES models,
    alias      TEXT NOT NULL,
    version_id BIGINT NOT NULL REFERENCES versions ON DELETE CASCADE,
    set_by_id  BIGINT NOT NULL REFERENCES users,
    set_at     DATETIME NOT NULL,
    PRIMARY KEY (model_id, alias)
);
CREATE INDEX model_aliases_by_version ON model_aliases (version_id);

-- What a run says it read.
CREATE TABLE job_inputs (
    job_id   BIGINT NOT NULL REFERENCES training_jobs,
    name     TEXT NOT NULL,
    digest   TEXT NOT NULL,
    context  TEXT,
    -- The whole of it, as JSON.
    document TEXT NOT NULL,
    PRIMARY KEY (job_id, name, digest)
);

-- A model that a run logged, before anybody registers it.
CREATE TABLE logged_models (
    logged_model_id TEXT PRIMARY KEY,
    experiment_id   BIGINT NOT NULL REFERENCES experiments,
    job_id          BIGINT REFERENCES training_jobs,
    name            TEXT NOT NULL,
    kind            TEXT NOT NULL DEFAULT '',
    status          TEXT NOT NULL,
    created_by_id   BIGINT NOT NULL REFERENCES users,
    created_at      DATETIME NOT NULL,
    updated_at      DATETIME NOT NULL,
    deleted_at      DATETIME
);
CREATE INDEX logged_models_by_experiment ON logged_models (experiment_id, created_at, logged_model_id);
CREATE INDEX logged_models_by_job ON logged_models (job_id);

CREATE TABLE logged_model_params (
    logged_model_id TEXT NOT NULL REFERENCES logged_models,
    name            TEXT NOT NULL,
    value           TEXT NOT NULL,
    PRIMARY KEY (logged_model_id, name)
);

CREATE TABLE logged_model_tags (
    logged_model_id TEXT NOT NULL REFERENCES logged_models,
    name            TEXT NOT NULL,
    value           TEXT NOT NULL,
    PRIMARY KEY (logged_model_id, name)
);

-- The metrics of runs that were measured on a logged model: the last of each name and data set.
CREATE TABLE logged_model_metrics (
    logged_model_id TEXT NOT NULL REFERENCES logged_models,
    name            TEXT NOT NULL,
    dataset         TEXT NOT NULL,
    dataset_digest  TEXT NOT NULL,
    job_id          BIGINT NOT NULL REFERENCES training_jobs,
    step            BIGINT NOT NULL,
    value           DOUBLE PRECISION,
    at_ms           BIGINT NOT NULL,
    PRIMARY KEY (logged_model_id, name, dataset, dataset_digest)
);

-- Which logged models a run made (output) or used (input), and at which step.
CREATE TABLE job_logged_models (
    job_id          BIGINT NOT NULL REFERENCES training_jobs,
    logged_model_id TEXT NOT NULL REFERENCES logged_models,
    role            TEXT NOT NULL,
    step            BIGINT NOT NULL,
    PRIMARY KEY (job_id, logged_model_id, role)
);

-- The files of a run (its 32 digits) or a logged model (its m-…) by path; the bytes are artifacts.
CREATE TABLE mlflow_files (
    holder     TEXT NOT NULL,
    path       TEXT NOT NULL,
    digest     TEXT NOT NULL REFERENCES artifacts,
    size_bytes BIGINT NOT NULL,
    written_at DATETIME NOT NULL,
    PRIMARY KEY (holder, path)
);
CREATE INDEX mlflow_files_by_digest ON mlflow_files (digest);
