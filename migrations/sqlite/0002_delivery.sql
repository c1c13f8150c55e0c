-- Delivery: environments, releases as durable operations, deployments and their statistics.

CREATE TABLE environments (
    environment_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    name              TEXT NOT NULL UNIQUE,
    project_id        BIGINT REFERENCES projects,
    region_id         BIGINT NOT NULL REFERENCES regions,
    stage             TEXT NOT NULL,
    runtime           TEXT NOT NULL,
    -- Where clients reach its models: the address of its gateway, which never changes by itself.
    endpoint          TEXT NOT NULL UNIQUE,
    state             TEXT NOT NULL,
    -- Whether a release waits for an approval; who approves is in the rules.
    approval_required BOOLEAN NOT NULL,
    preview_minutes   BIGINT NOT NULL CHECK (preview_minutes BETWEEN 1 AND 1440),
    created_at        DATETIME NOT NULL,
    revision          BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX environments_by_region ON environments (region_id);

-- Times in which nothing is released, unless a second person agrees.
CREATE TABLE freeze_windows (
    freeze_id      INTEGER PRIMARY KEY AUTOINCREMENT,
    environment_id BIGINT NOT NULL REFERENCES environments,
    starts_at      DATETIME NOT NULL,
    ends_at        DATETIME NOT NULL,
    reason         TEXT NOT NULL,
    created_by_id  BIGINT NOT NULL REFERENCES users,
    CHECK (starts_at < ends_at)
);
CREATE INDEX freeze_windows_by_environment ON freeze_windows (environment_id, ends_at);

-- A preview is what was looked at: apply must carry its number, once.
CREATE TABLE release_previews (
    preview_ref     TEXT PRIMARY KEY,
    environment_id  BIGINT NOT NULL REFERENCES environments,
    version_id      BIGINT NOT NULL REFERENCES versions,
    model_id        BIGINT NOT NULL REFERENCES models,
    kind            TEXT NOT NULL,
    -- What the digest covers, as JSON, so that what moved can be shown.
    covers          TEXT NOT NULL,
    digest          TEXT NOT NULL,
    plan            TEXT NOT NULL,
    checks          TEXT NOT NULL,
    warnings        TEXT NOT NULL,
    -- Why a rollback is asked for.
    reason          TEXT,
    requested_by_id BIGINT NOT NULL REFERENCES users,
    created_at      DATETIME NOT NULL,
    expires_at      DATETIME NOT NULL
);

CREATE TABLE releases (
    release_id        INTEGER PRIMARY KEY AUTOINCREMENT,
    environment_id    BIGINT NOT NULL REFERENCES environments,
    model_id          BIGINT NOT NULL REFERENCES models,
    version_id        BIGINT NOT NULL REFERENCES versions,
    -- release or rollback.
    kind              TEXT NOT NULL,
    lifecycle_state   TEXT NOT NULL,
    -- A preview is used once.
    preview_ref       TEXT NOT NULL UNIQUE REFERENCES release_previews,
    apply_on_approval BOOLEAN NOT NULL DEFAULT FALSE,
    -- Why it may go into a freeze window; a second person must agree.
    freeze_reason     TEXT,
    -- The end of the freeze window that the reason is for: it opens no other.
    freeze_until      DATETIME,
    -- Why a rollback was asked for.
    reason            TEXT,
    requested_by_id   BIGINT NOT NULL REFERENCES users,
    approved_by_id    BIGINT REFERENCES users,
    diagnostics       TEXT,
    created_at        DATETIME NOT NULL,
    approved_at       DATETIME,
    ended_at          DATETIME,
    revision          BIGINT NOT NULL DEFAULT 1
);
-- Rows from older systems have today's states under older names; they are kept under today's.
CREATE TRIGGER releases_under_todays_names AFTER INSERT ON releases WHEN NEW.lifecycle_state IN ('succeeded', 'rolled_back') BEGIN
    UPDATE releases SET lifecycle_state = CASE NEW.lifecycle_state WHEN 'succeeded' THEN 'applied' ELSE 'rollback' END
    WHERE release_id = NEW.release_id;
END;
CREATE INDEX releases_newest ON releases (created_at, release_id);
CREATE INDEX releases_by_environment ON releases (environment_id, model_id, created_at);
CREATE INDEX releases_by_version ON releases (version_id);
CREATE INDEX releases_by_model ON releases (model_id, created_at);
CREATE INDEX releases_open ON releases (lifecycle_state) WHERE lifecycle_state IN ('pending_approval', 'approved', 'applying');

-- Durable work of several steps. The lease says which server works on it; the fence rises with every
-- change of hands, and a step is recorded only under the fence it was begun with.
CREATE TABLE operations (
    operation_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    kind           TEXT NOT NULL,
    subject_id     BIGINT NOT NULL,
    environment_id BIGINT NOT NULL REFERENCES environments,
    state          TEXT NOT NULL,
    requested_by_id BIGINT REFERENCES users,
    worker         TEXT,
    fence          BIGINT NOT NULL DEFAULT 0,
    leased_until   DATETIME,
    cancel_asked   BOOLEAN NOT NULL DEFAULT FALSE,
    created_at     DATETIME NOT NULL,
    ended_at       DATETIME
);
-- One operation at a time in an environment.
CREATE UNIQUE INDEX operations_one_each ON operations (environment_id) WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX operations_by_subject ON operations (kind, subject_id);
CREATE INDEX operations_due ON operations (state, leased_until) WHERE state IN ('queued', 'running');

CREATE TABLE operation_steps (
    operation_id BIGINT NOT NULL REFERENCES operations,
    position     BIGINT NOT NULL,
    name         TEXT NOT NULL,
    sentence     TEXT NOT NULL,
    step         TEXT NOT NULL,
    -- Whether it belongs to the way back.
    is_undo      BOOLEAN NOT NULL DEFAULT FALSE,
    state        TEXT NOT NULL,
    detail       TEXT,
    attempts     BIGINT NOT NULL DEFAULT 0,
    started_at   DATETIME,
    ended_at     DATETIME,
    PRIMARY KEY (operation_id, position)
);

-- One version serving in one environment.
CREATE TABLE deployments (
    deployment_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    environment_id BIGINT REFERENCES environments,
    model_id       BIGINT NOT NULL REFERENCES models,
    version_id     BIGINT NOT NULL REFERENCES versions,
    -- None for an endpoint that others run and this product only measures.
    release_id     BIGINT REFERENCES releases,
    -- What the runtime knows it by.
    runtime_key    TEXT NOT NULL,
    state          TEXT NOT NULL,
    reason         TEXT,
    endpoint       TEXT NOT NULL,
    metrics_source TEXT,
    -- Where others who run it say that it is ready; none for what this product runs itself.
    readiness_url  TEXT,
    weight         BIGINT NOT NULL DEFAULT 0,
    digest         TEXT NOT NULL,
    running_digest TEXT,
    observed_at    DATETIME,
    restarts       BIGINT NOT NULL DEFAULT 0,
    synthetic      BOOLEAN NOT NULL DEFAULT FALSE,
    created_at     DATETIME NOT NULL,
    active_at      DATETIME,
    ended_at       DATETIME,
    -- Of the last minutes, for the table: requests a second, P95 and error rate; none without traffic.
    requests_per_s DOUBLE PRECISION,
    p95_ms         DOUBLE PRECISION,
    error_rate     DOUBLE PRECISION,
    measured_at    DATETIME,
    revision       BIGINT NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX deployments_by_release ON deployments (release_id) WHERE release_id IS NOT NULL;
CREATE UNIQUE INDEX deployments_external ON deployments (endpoint) WHERE readiness_url IS NOT NULL AND ended_at IS NULL;
CREATE INDEX deployments_by_environment ON deployments (environment_id, model_id, state);
CREATE INDEX deployments_by_version ON deployments (version_id);
CREATE INDEX deployments_by_model ON deployments (model_id, deployment_id);
CREATE INDEX deployments_by_state ON deployments (state, deployment_id);
CREATE INDEX deployments_by_date ON deployments (created_at, deployment_id);
-- What was not measured comes last in either order, which the engines' own order of NULL does not give.
CREATE INDEX deployments_by_rate ON deployments (COALESCE(requests_per_s, 1e300), deployment_id);
CREATE INDEX deployments_by_rate_down ON deployments (COALESCE(requests_per_s, -1), deployment_id);
CREATE INDEX deployments_by_p95 ON deployments (COALESCE(p95_ms, 1e300), deployment_id);
CREATE INDEX deployments_by_p95_down ON deployments (COALESCE(p95_ms, -1), deployment_id);

-- Requests of a deployment in a minute or an hour, as a mergeable sketch of their durations.
CREATE TABLE deployment_statistics (
    deployment_id BIGINT NOT NULL REFERENCES deployments,
    -- Seconds that a row stands for: 60 or 3600.
    span          BIGINT NOT NULL,
    starts_at     DATETIME NOT NULL,
    synthetic     BOOLEAN NOT NULL,
    requests      BIGINT NOT NULL,
    errors        BIGINT NOT NULL,
    sketch        TEXT NOT NULL,
    PRIMARY KEY (deployment_id, span, starts_at, synthetic)
);
CREATE INDEX deployment_statistics_by_age ON deployment_statistics (span, starts_at);

-- What an endpoint had counted when it was last read: statistics are of the growth since.
CREATE TABLE endpoint_readings (
    deployment_id BIGINT PRIMARY KEY REFERENCES deployments,
    -- Where it was read, as the deployment has it.
    source        TEXT NOT NULL,
    reading       TEXT NOT NULL
);

-- One server of several reads the endpoints. The fence rises with every change of hands, and what was
-- read is written only under the fence it was read with.
CREATE TABLE endpoint_reader (
    only_row     BIGINT PRIMARY KEY CHECK (only_row = 1),
    fence        BIGINT NOT NULL,
    leased_until DATETIME NOT NULL
);
INSERT INTO endpoint_reader (only_row, fence, leased_until) VALUES (1, 0, '1970-01-01T00:00:00+00:00');

-- Where what runs differs from what was approved or ratified, as last observed.
CREATE TABLE drift_findings (
    drift_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    kind           TEXT NOT NULL,
    model_id       BIGINT NOT NULL REFERENCES models,
    region_id      BIGINT NOT NULL REFERENCES regions,
    version_id     BIGINT REFERENCES versions,
    deployment_id  BIGINT REFERENCES deployments,
    detail         TEXT NOT NULL,
    found_at       DATETIME NOT NULL,
    ended_at       DATETIME
);
CREATE UNIQUE INDEX drift_findings_once ON drift_findings (kind, model_id, region_id, COALESCE(deployment_id, 0)) WHERE ended_at IS NULL;
CREATE INDEX drift_findings_open ON drift_findings (found_at, drift_id) WHERE ended_at IS NULL;
CREATE INDEX drift_findings_by_model ON drift_findings (model_id) WHERE ended_at IS NULL;

-- What a release's approval adds to the rules: they may differ by stage.
ALTER TABLE approval_rules ADD COLUMN stage TEXT;
DROP INDEX approval_rules_once;
CREATE UNIQUE INDEX approval_rules_once ON approval_rules (kind, COALESCE(stage, ''), COALESCE(region_id, 0), COALESCE(risk_tier, ''), role);
ALTER TABLE approval_inbox_items ADD COLUMN environment_id BIGINT REFERENCES environments;

INSERT INTO approval_rules (kind, stage, region_id, risk_tier, role, needed) VALUES
    ('release_approval', NULL, NULL, NULL, 'GLOBAL_APPROVER', 1),
    ('rollback_approval', NULL, NULL, NULL, 'OPERATOR', 1),
    ('freeze_override', NULL, NULL, NULL, 'GLOBAL_APPROVER', 1);

-- What a release left behind for the owner to ratify: release, approver, digest, probe result, time.
ALTER TABLE deployment_tasks ADD COLUMN evidence TEXT;
