-- The first schema. The same tables stand in the other engine's folder; only type names differ.

-- People and what they may do -------------------------------------------------------------------

CREATE TABLE users (
    user_id          INTEGER PRIMARY KEY AUTOINCREMENT,
    email            TEXT NOT NULL UNIQUE,
    name             TEXT NOT NULL,
    password_hash    TEXT,
    disabled         BOOLEAN NOT NULL DEFAULT FALSE,
    created_at       DATETIME NOT NULL,
    revision         BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX users_by_name ON users (LOWER(name), user_id);

-- Failed sign-ins in a row, by the digest of the address typed, whether it has an account or not:
-- so a lock does not tell who has one, and a password typed into the wrong field is not kept.
CREATE TABLE sign_in_failures (
    address       TEXT PRIMARY KEY,
    failures      BIGINT NOT NULL,
    failed_at     DATETIME NOT NULL,
    locked_until  DATETIME
);
CREATE INDEX sign_in_failures_by_age ON sign_in_failures (failed_at);

CREATE TABLE regions (
    region_id                   INTEGER PRIMARY KEY AUTOINCREMENT,
    code                        TEXT NOT NULL UNIQUE,
    name                        TEXT NOT NULL,
    time_zone                   TEXT NOT NULL,
    requires_regional_approval  BOOLEAN NOT NULL DEFAULT FALSE
);

-- One row a role; a REGIONAL_APPROVER has one row a region.
CREATE TABLE user_roles (
    user_id    BIGINT NOT NULL REFERENCES users,
    role       TEXT NOT NULL,
    region_id  BIGINT REFERENCES regions,
    CHECK ((role = 'REGIONAL_APPROVER') = (region_id IS NOT NULL))
);
CREATE UNIQUE INDEX user_roles_once ON user_roles (user_id, role, COALESCE(region_id, 0));
CREATE INDEX user_roles_by_role ON user_roles (role, region_id);

CREATE TABLE teams (
    team_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL UNIQUE
);

CREATE TABLE projects (
    project_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    team_id     BIGINT NOT NULL REFERENCES teams
);
CREATE INDEX projects_by_team ON projects (team_id);

CREATE TABLE sessions (
    token_hash  TEXT PRIMARY KEY,
    user_id     BIGINT NOT NULL REFERENCES users,
    csrf_token  TEXT NOT NULL,
    created_at  DATETIME NOT NULL,
    expires_at  DATETIME NOT NULL,
    seen_at     DATETIME NOT NULL,
    client      TEXT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE api_tokens (
    token_id      INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id       BIGINT NOT NULL REFERENCES users,
    name          TEXT NOT NULL,
    token_hash    TEXT NOT NULL UNIQUE,
    scope         TEXT NOT NULL,
    created_at    DATETIME NOT NULL,
    expires_at    DATETIME NOT NULL,
    last_used_at  DATETIME,
    revoked_at    DATETIME
);
CREATE INDEX api_tokens_by_user ON api_tokens (user_id);

-- What was answered to a write that named a key, so that the same write is never done twice.
CREATE TABLE idempotency_keys (
    user_id     BIGINT NOT NULL REFERENCES users,
    key         TEXT NOT NULL,
    request     TEXT NOT NULL,
    status      BIGINT,
    answer      TEXT,
    created_at  DATETIME NOT NULL,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Ledger ----------------------------------------------------------------------------------------

CREATE TABLE ledger_entries (
    seq         BIGINT PRIMARY KEY,
    at          DATETIME NOT NULL,
    actor_id    BIGINT,
    actor       TEXT NOT NULL,
    agent       TEXT,
    action      TEXT NOT NULL,
    entity      TEXT NOT NULL,
    entity_id   TEXT NOT NULL,
    model_id    BIGINT,
    before      TEXT,
    after       TEXT,
    reason      TEXT,
    request_id  TEXT NOT NULL,
    prev_hash   TEXT NOT NULL,
    hash        TEXT NOT NULL
);
CREATE INDEX ledger_by_entity ON ledger_entries (entity, entity_id, seq);
CREATE INDEX ledger_by_model ON ledger_entries (model_id, seq) WHERE model_id IS NOT NULL;
CREATE INDEX ledger_by_actor ON ledger_entries (actor_id, seq);
CREATE INDEX ledger_by_time ON ledger_entries (at);

CREATE TABLE ledger_head (
    one   BIGINT PRIMARY KEY CHECK (one = 1),
    seq   BIGINT NOT NULL,
    hash  TEXT NOT NULL
);
INSERT INTO ledger_head VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

CREATE TRIGGER ledger_entries_no_update BEFORE UPDATE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_entries_no_delete BEFORE DELETE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

-- Inventory -------------------------------------------------------------------------------------

-- `imported_row` is what the last import brought, so that the next tells its changes from people's.
CREATE TABLE models (
    model_id      INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL UNIQUE,
    description   TEXT NOT NULL DEFAULT '',
    owner_id      BIGINT NOT NULL REFERENCES users,
    developer_id  BIGINT REFERENCES users,
    project_id    BIGINT NOT NULL REFERENCES projects,
    risk_tier     TEXT NOT NULL,
    status        TEXT NOT NULL,
    external_key  TEXT UNIQUE,
    imported_row  TEXT,
    created_at    DATETIME NOT NULL,
    revision      BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX models_by_owner ON models (owner_id);
CREATE INDEX models_by_developer ON models (developer_id);
CREATE INDEX models_by_project ON models (project_id);
CREATE INDEX models_by_status ON models (status, model_id);
CREATE INDEX models_by_tier ON models (risk_tier, model_id);

CREATE TABLE model_regions (
    model_id           BIGINT NOT NULL REFERENCES models,
    region_id          BIGINT NOT NULL REFERENCES regions,
    regional_owner_id  BIGINT REFERENCES users,
    PRIMARY KEY (model_id, region_id)
);
CREATE INDEX model_regions_by_region ON model_regions (region_id, model_id);
CREATE INDEX model_regions_by_owner ON model_regions (regional_owner_id) WHERE regional_owner_id IS NOT NULL;

-- What an import could not map, kept in its own words.
CREATE TABLE model_notes (
    model_id  BIGINT NOT NULL REFERENCES models,
    position  BIGINT NOT NULL,
    label     TEXT NOT NULL,
    text      TEXT NOT NULL,
    PRIMARY KEY (model_id, position)
);

-- Never deleted: who lent what to whom, from when to when.
CREATE TABLE delegations (
    delegation_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id            BIGINT NOT NULL REFERENCES models,
    user_id             BIGINT NOT NULL REFERENCES users,
    can_deploy          BOOLEAN NOT NULL,
    can_submit_changes  BOOLEAN NOT NULL,
    granted_by_id       BIGINT NOT NULL REFERENCES users,
    granted_at          DATETIME NOT NULL,
    expires_at          DATETIME,
    revoked_at          DATETIME,
    revoked_by_id       BIGINT REFERENCES users
);
CREATE INDEX delegations_by_model ON delegations (model_id);
CREATE INDEX delegations_by_user ON delegations (user_id) WHERE revoked_at IS NULL;
CREATE UNIQUE INDEX delegations_once ON delegations (model_id, user_id) WHERE revoked_at IS NULL;

-- Artifacts and versions ------------------------------------------------------------------------

-- The bytes themselves lie in the data folder, named by their digest; `stored` says whether they do.
CREATE TABLE artifacts (
    digest          TEXT PRIMARY KEY,
    size_bytes      BIGINT,
    file_name       TEXT NOT NULL,
    stored          BOOLEAN NOT NULL,
    recorded_by_id  BIGINT NOT NULL REFERENCES users,
    recorded_at     DATETIME NOT NULL
);

CREATE TABLE versions (
    version_id               INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id                 BIGINT NOT NULL REFERENCES models,
    number                   TEXT NOT NULL,
    major                    BIGINT NOT NULL,
    minor                    BIGINT NOT NULL,
    change_type              TEXT NOT NULL,
    scope                    TEXT NOT NULL,
    description              TEXT NOT NULL,
    planned_production_date  DATE,
    artifact_digest          TEXT REFERENCES artifacts,
    submitted_by_id          BIGINT NOT NULL REFERENCES users,
    created_at               DATETIME NOT NULL,
    revision                 BIGINT NOT NULL DEFAULT 1,
    UNIQUE (model_id, number)
);

-- Numbers of deleted drafts, which are never given out again.
CREATE TABLE retired_version_numbers (
    model_id  BIGINT NOT NULL REFERENCES models,
    number    TEXT NOT NULL,
    PRIMARY KEY (model_id, number)
);

CREATE TABLE version_regions (
    version_id  BIGINT NOT NULL REFERENCES versions,
    region_id   BIGINT NOT NULL REFERENCES regions,
    PRIMARY KEY (version_id, region_id)
);
CREATE INDEX version_regions_by_region ON version_regions (region_id);

-- Where a version is meant to go live: the regions of its model that it names, or, if it is global and
-- names none, all of them. Without UNION, so that a condition on a version or model reaches the indexes.
CREATE VIEW version_targets AS
SELECT v.version_id, v.model_id, r.region_id
FROM versions v JOIN model_regions r ON r.model_id = v.model_id
WHERE EXISTS (SELECT 1 FROM version_regions x WHERE x.version_id = v.version_id AND x.region_id = r.region_id)
   OR (v.scope = 'GLOBAL' AND NOT EXISTS (SELECT 1 FROM version_regions x WHERE x.version_id = v.version_id));

-- Validation ------------------------------------------------------------------------------------

CREATE TABLE validation_requests (
    request_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    type             TEXT NOT NULL,
    priority         TEXT NOT NULL,
    state            TEXT NOT NULL,
    held_from        TEXT,
    target_date      DATE,
    requested_by_id  BIGINT NOT NULL REFERENCES users,
    requested_at     DATETIME NOT NULL,
    note             TEXT NOT NULL DEFAULT '',
    state_reason     TEXT,
    completion_date  DATE,
    completed_at     DATETIME,
    revision         BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX validation_requests_by_state ON validation_requests (state, request_id);

CREATE TABLE validation_versions (
    request_id  BIGINT NOT NULL REFERENCES validation_requests,
    version_id  BIGINT NOT NULL REFERENCES versions,
    PRIMARY KEY (request_id, version_id)
);
CREATE INDEX validation_versions_by_version ON validation_versions (version_id, request_id);

CREATE TABLE validation_regions (
    request_id  BIGINT NOT NULL REFERENCES validation_requests,
    region_id   BIGINT NOT NULL REFERENCES regions,
    PRIMARY KEY (request_id, region_id)
);

-- A version's validation is its newest request that is not cancelled.
CREATE VIEW version_requests AS
SELECT v.version_id, (SELECT MAX(q.request_id) FROM validation_versions x JOIN validation_requests q ON q.request_id = x.request_id
                      WHERE x.version_id = v.version_id AND q.state <> 'CANCELLED') AS request_id
FROM versions v;

-- The same with what is known of it, for versions that have one. To join it to the left, join
-- version_requests and validation_requests: SQLite reads a view that joins as a whole there.
CREATE VIEW version_validations AS
SELECT vr.version_id, r.request_id, r.state, r.completion_date, r.completed_at
FROM version_requests vr JOIN validation_requests r ON r.request_id = vr.request_id;

-- One row a required approval; `digests` is what the approver saw: version number and artifact digest.
CREATE TABLE validation_approvals (
    approval_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id     BIGINT NOT NULL REFERENCES validation_requests,
    role           TEXT NOT NULL,
    region_id      BIGINT REFERENCES regions,
    state          TEXT NOT NULL,
    digests        TEXT NOT NULL,
    decided_by_id  BIGINT REFERENCES users,
    decided_at     DATETIME,
    comment        TEXT,
    created_at     DATETIME NOT NULL
);
CREATE INDEX validation_approvals_by_request ON validation_approvals (request_id);
CREATE UNIQUE INDEX validation_approvals_once ON validation_approvals (request_id, role, COALESCE(region_id, 0))
    WHERE state IN ('PENDING', 'APPROVED');

-- An approval for one region, given after the validation.
CREATE TABLE regional_approvals (
    version_id     BIGINT NOT NULL REFERENCES versions,
    region_id      BIGINT NOT NULL REFERENCES regions,
    granted_by_id  BIGINT NOT NULL REFERENCES users,
    granted_at     DATETIME NOT NULL,
    ticket_id      BIGINT NOT NULL,
    digest         TEXT,
    lapsed_at      DATETIME
);
CREATE UNIQUE INDEX regional_approvals_once ON regional_approvals (version_id, region_id) WHERE lapsed_at IS NULL;

-- Regions that a version may not go live in yet: they require their own approval, its validation does
-- not cover them, and they have not given it since.
CREATE VIEW version_locks AS
SELECT t.version_id, t.model_id, t.region_id
FROM version_targets t JOIN regions r ON r.region_id = t.region_id
WHERE r.requires_regional_approval
  AND NOT EXISTS (SELECT 1 FROM version_validations vv JOIN validation_regions s ON s.request_id = vv.request_id
                  WHERE vv.version_id = t.version_id AND s.region_id = t.region_id)
  AND NOT EXISTS (SELECT 1 FROM regional_approvals a
                  WHERE a.version_id = t.version_id AND a.region_id = t.region_id AND a.lapsed_at IS NULL);

-- Deployment tasks and the ratified facts -------------------------------------------------------

CREATE TABLE deployment_tasks (
    task_id                             INTEGER PRIMARY KEY AUTOINCREMENT,
    version_id                          BIGINT NOT NULL REFERENCES versions,
    model_id                            BIGINT NOT NULL REFERENCES models,
    region_id                           BIGINT REFERENCES regions,
    planned_production_date             DATE NOT NULL,
    actual_production_date              DATE,
    assigned_to_id                      BIGINT NOT NULL REFERENCES users,
    status                              TEXT NOT NULL,
    confirmation_notes                  TEXT,
    adjustment_reason                   TEXT,
    cancellation_reason                 TEXT,
    confirmed_at                        DATETIME,
    confirmed_by_id                     BIGINT REFERENCES users,
    deployed_before_validation_approved BOOLEAN NOT NULL DEFAULT FALSE,
    deployed_before_regional_approval   BOOLEAN NOT NULL DEFAULT FALSE,
    validation_override_reason          TEXT,
    created_at                          DATETIME NOT NULL,
    created_by_id                       BIGINT NOT NULL REFERENCES users,
    CHECK ((status = 'CONFIRMED') = (actual_production_date IS NOT NULL))
);
CREATE UNIQUE INDEX deployment_tasks_one_open ON deployment_tasks (version_id, COALESCE(region_id, 0))
    WHERE status IN ('PENDING', 'ADJUSTED');
-- SQLite reads an index alone only if the condition's column stands in it too: hence the status.
CREATE INDEX deployment_tasks_due ON deployment_tasks (planned_production_date, task_id)
    WHERE status IN ('PENDING', 'ADJUSTED');
CREATE INDEX deployment_tasks_by_assignee
    ON deployment_tasks (assigned_to_id, planned_production_date, task_id, region_id, model_id, version_id, status)
    WHERE status IN ('PENDING', 'ADJUSTED');
CREATE INDEX deployment_tasks_open_by_model
    ON deployment_tasks (model_id, assigned_to_id, planned_production_date, task_id, region_id, version_id, status)
    WHERE status IN ('PENDING', 'ADJUSTED');
CREATE INDEX deployment_tasks_open_days ON deployment_tasks (region_id, planned_production_date, status)
    WHERE status IN ('PENDING', 'ADJUSTED');
CREATE INDEX deployment_tasks_ever_assigned ON deployment_tasks (assigned_to_id, model_id);
CREATE INDEX deployment_tasks_by_model ON deployment_tasks (model_id, planned_production_date, task_id);
CREATE INDEX deployment_tasks_overrides ON deployment_tasks (confirmed_at)
    WHERE validation_override_reason IS NOT NULL;

CREATE TABLE region_deployments (
    region_deployment_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id              BIGINT NOT NULL REFERENCES models,
    region_id             BIGINT NOT NULL REFERENCES regions,
    version_id            BIGINT NOT NULL REFERENCES versions,
    task_id               BIGINT REFERENCES deployment_tasks,
    live_from             DATE NOT NULL,
    live_to               DATE,
    recorded_at           DATETIME NOT NULL,
    recorded_by_id        BIGINT NOT NULL REFERENCES users,
    CHECK (live_to IS NULL OR live_to >= live_from)
);
CREATE UNIQUE INDEX region_deployments_live ON region_deployments (model_id, region_id) WHERE live_to IS NULL;
CREATE INDEX region_deployments_by_version ON region_deployments (version_id, region_id);
CREATE INDEX region_deployments_by_region ON region_deployments (region_id, live_from);
CREATE INDEX region_deployments_by_model ON region_deployments (model_id, region_id, live_from);

-- The review of a confirmation that came before its approval.
CREATE TABLE override_reviews (
    override_id     INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id         BIGINT NOT NULL UNIQUE REFERENCES deployment_tasks,
    version_id      BIGINT NOT NULL REFERENCES versions,
    model_id        BIGINT NOT NULL REFERENCES models,
    reason          TEXT NOT NULL,
    state           TEXT NOT NULL,
    overridden_by_id BIGINT NOT NULL REFERENCES users,
    opened_at       DATETIME NOT NULL,
    closed_at       DATETIME,
    closed_by_id    BIGINT REFERENCES users,
    comment         TEXT
);
CREATE INDEX override_reviews_open ON override_reviews (state, opened_at);
CREATE INDEX override_reviews_by_time ON override_reviews (opened_at, override_id);
CREATE INDEX override_reviews_by_version ON override_reviews (version_id);

-- Readiness: the read model of `approved, not ratified`, rebuilt a model at a time in the same
-- transaction as the fact that changed it. Everything here can be derived again from the facts.

CREATE TABLE ready_pairs (
    version_id                  BIGINT NOT NULL REFERENCES versions,
    region_id                   BIGINT NOT NULL REFERENCES regions,
    model_id                    BIGINT NOT NULL REFERENCES models,
    owner_id                    BIGINT NOT NULL,
    regional_owner_id           BIGINT,
    request_id                  BIGINT NOT NULL,
    approved_date               DATE NOT NULL,
    requires_regional_approval  BOOLEAN NOT NULL,
    superseded                  BOOLEAN NOT NULL,
    PRIMARY KEY (version_id, region_id)
);
CREATE INDEX ready_pairs_waiting ON ready_pairs (superseded, approved_date, version_id, region_id);
CREATE INDEX ready_pairs_by_model ON ready_pairs (model_id, superseded);
CREATE INDEX ready_pairs_by_region ON ready_pairs (region_id, superseded, approved_date, version_id);
CREATE INDEX ready_pairs_by_owner ON ready_pairs (owner_id, superseded, approved_date, version_id, region_id, model_id);
CREATE INDEX ready_pairs_by_regional_owner ON ready_pairs (regional_owner_id, superseded, approved_date, version_id, region_id, model_id)
    WHERE regional_owner_id IS NOT NULL;

-- How many pairs that are not superseded a model has in a region; in region 0, in all of them.
CREATE TABLE ready_counts (
    model_id   BIGINT NOT NULL,
    region_id  BIGINT NOT NULL,
    pairs      BIGINT NOT NULL,
    PRIMARY KEY (model_id, region_id)
);

-- The sums over all models, a row a region. Region 0, all regions, always has its row: it is locked
-- before the sums change, so that two acts cannot change them crosswise.
CREATE TABLE ready_totals (
    region_id  BIGINT PRIMARY KEY,
    pairs      BIGINT NOT NULL,
    models     BIGINT NOT NULL
);
INSERT INTO ready_totals VALUES (0, 0, 0);

-- Approval inbox --------------------------------------------------------------------------------

CREATE TABLE approval_inbox_items (
    ticket_id        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind             TEXT NOT NULL,
    subject          TEXT NOT NULL,
    subject_id       BIGINT NOT NULL,
    -- Tickets of one kind and group are parts of one approval: a person decides one role of it.
    group_id         BIGINT,
    needed           BIGINT NOT NULL DEFAULT 1,
    requested_by_id  BIGINT NOT NULL REFERENCES users,
    agent            TEXT,
    required_role    TEXT NOT NULL,
    model_id         BIGINT REFERENCES models,
    version_id       BIGINT REFERENCES versions,
    region_id        BIGINT REFERENCES regions,
    project_id       BIGINT REFERENCES projects,
    risk             TEXT NOT NULL,
    priority         TEXT NOT NULL,
    due_at           DATETIME NOT NULL,
    expires_at       DATETIME,
    state            TEXT NOT NULL,
    assigned_to_id   BIGINT REFERENCES users,
    superseded_by_id BIGINT REFERENCES approval_inbox_items,
    excluded         TEXT NOT NULL DEFAULT '[]',
    created_at       DATETIME NOT NULL,
    decided_at       DATETIME,
    decided_by_id    BIGINT REFERENCES users,
    comment          TEXT,
    lapsed_at        DATETIME,
    revision         BIGINT NOT NULL DEFAULT 1
);
-- A ticket is made once a thing to decide.
CREATE UNIQUE INDEX approval_inbox_items_once ON approval_inbox_items (kind, subject_id) WHERE state = 'pending';
CREATE INDEX approval_inbox_items_all ON approval_inbox_items (due_at, ticket_id);
CREATE INDEX approval_inbox_items_due ON approval_inbox_items (state, due_at, ticket_id);
CREATE INDEX approval_inbox_items_by_requester ON approval_inbox_items (requested_by_id, due_at);
CREATE INDEX approval_inbox_items_by_role ON approval_inbox_items (required_role, region_id) WHERE state = 'pending';
CREATE INDEX approval_inbox_items_by_version ON approval_inbox_items (version_id);
CREATE INDEX approval_inbox_items_by_group ON approval_inbox_items (kind, group_id) WHERE group_id IS NOT NULL;

CREATE TABLE approval_inbox_actions (
    action_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id  BIGINT NOT NULL REFERENCES approval_inbox_items,
    action     TEXT NOT NULL,
    by_id      BIGINT REFERENCES users,
    comment    TEXT,
    at         DATETIME NOT NULL
);
CREATE INDEX approval_inbox_actions_by_ticket ON approval_inbox_actions (ticket_id, action_id);
CREATE INDEX approval_inbox_actions_by_person ON approval_inbox_actions (by_id, action, ticket_id);

-- Which approvals a decision needs: the most specific rule of a kind wins.
CREATE TABLE approval_rules (
    rule_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL,
    region_id  BIGINT REFERENCES regions,
    risk_tier  TEXT,
    role       TEXT NOT NULL,
    needed     BIGINT NOT NULL CHECK (needed BETWEEN 1 AND 9)
);
CREATE UNIQUE INDEX approval_rules_once ON approval_rules (kind, COALESCE(region_id, 0), COALESCE(risk_tier, ''), role);
INSERT INTO approval_rules (kind, region_id, risk_tier, role, needed) VALUES
    ('validation_approval', NULL, NULL, 'GLOBAL_APPROVER', 1),
    ('validation_approval', NULL, NULL, 'REGIONAL_APPROVER', 1),
    ('regional_approval', NULL, NULL, 'REGIONAL_APPROVER', 1),
    ('override_review', NULL, NULL, 'COMPLIANCE', 1);

-- Which minor changes need a validation: by risk tier.
CREATE TABLE minor_change_rules (
    risk_tier         TEXT PRIMARY KEY,
    needs_validation  BOOLEAN NOT NULL
);
INSERT INTO minor_change_rules VALUES ('TIER_1', TRUE), ('TIER_2', FALSE), ('TIER_3', FALSE);
