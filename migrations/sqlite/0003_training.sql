-- Training: data sets, experiments, and jobs with what they measured. A run of an MLflow client is a job as well.

CREATE TABLE datasets (
    dataset_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL UNIQUE,
    description   TEXT NOT NULL DEFAULT '',
    -- The SHA-256 of the file, whether it is kept here or stays where it was.
    digest        TEXT NOT NULL REFERENCES artifacts,
    -- Where the file stays; none if it was uploaded.
    location      TEXT,
    format        TEXT NOT NULL,
    row_count     BIGINT NOT NULL,
    -- Name, kind, role, missing and different values of each column in the file's order, as JSON.
    columns       TEXT NOT NULL,
    -- The first rows, as JSON.
    preview       TEXT NOT NULL,
    created_by_id BIGINT NOT NULL REFERENCES users,
    created_at    DATETIME NOT NULL,
    revision      BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX datasets_by_digest ON datasets (digest);

-- What MLflow clients group runs by. The jobs of a model that are made here have the model's own.
CREATE TABLE experiments (
    experiment_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL UNIQUE,
    model_id      BIGINT REFERENCES models,
    created_by_id BIGINT REFERENCES users,
    created_at    DATETIME NOT NULL,
    updated_at    DATETIME NOT NULL,
    deleted_at    DATETIME
);
CREATE UNIQUE INDEX experiments_by_model ON experiments (model_id) WHERE model_id IS NOT NULL;
-- The one that MLflow clients use if they name none; its number is theirs.
INSERT INTO experiments (experiment_id, name, created_at, updated_at)
VALUES (0, 'Default', '1970-01-01T00:00:00+00:00', '1970-01-01T00:00:00+00:00');

CREATE TABLE training_jobs (
    job_id            INTEGER PRIMARY KEY AUTOINCREMENT,
    -- What MLflow clients know it by: 32 hexadecimal digits.
    run_uuid          TEXT NOT NULL UNIQUE,
    experiment_id     BIGINT NOT NULL REFERENCES experiments,
    -- None for a run of which no version was registered yet.
    model_id          BIGINT REFERENCES models,
    dataset_id        BIGINT REFERENCES datasets,
    name              TEXT NOT NULL,
    -- builtin, command, or mlflow for a run that is carried out elsewhere.
    executor          TEXT NOT NULL,
    -- What the executor is asked to do, as JSON.
    configuration     TEXT NOT NULL,
    state             TEXT NOT NULL,
    -- Why it ended as it did: a code, and a sentence.
    cause             TEXT,
    message           TEXT,
    exit_code         BIGINT,
    requested_by_id   BIGINT NOT NULL REFERENCES users,
    retry_of_id       BIGINT REFERENCES training_jobs,
    -- The lease says which server carries it out; the fence rises with every change of hands.
    worker            TEXT,
    fence             BIGINT NOT NULL DEFAULT 0,
    leased_until      DATETIME,
    stop_asked        BOOLEAN NOT NULL DEFAULT FALSE,
    epoch             BIGINT,
    epochs            BIGINT,
    step              BIGINT,
    steps             BIGINT,
    -- How many points were recorded: the number of the newest one, which is the cursor of who watches.
    points            BIGINT NOT NULL DEFAULT 0,
    cpu_seconds       DOUBLE PRECISION,
    peak_memory_bytes BIGINT,
    artifact_digest   TEXT REFERENCES artifacts,
    -- What code trained it: a program and its version, a commit, or the digest of a script.
    code              TEXT,
    created_at        DATETIME NOT NULL,
    started_at        DATETIME,
    finished_at       DATETIME,
    -- Hidden from lists, and can be restored.
    deleted_at        DATETIME,
    revision          BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX training_jobs_newest ON training_jobs (created_at, job_id);
CREATE INDEX training_jobs_by_state ON training_jobs (state, job_id);
CREATE INDEX training_jobs_by_model ON training_jobs (model_id, job_id);
CREATE INDEX training_jobs_by_experiment ON training_jobs (experiment_id, created_at, job_id);
CREATE INDEX training_jobs_by_dataset ON training_jobs (dataset_id);

CREATE TABLE job_params (
    job_id BIGINT NOT NULL REFERENCES training_jobs,
    name   TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (job_id, name)
);
CREATE INDEX job_params_by_value ON job_params (name, value, job_id);

CREATE TABLE job_tags (
    job_id BIGINT NOT NULL REFERENCES training_jobs,
    name   TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (job_id, name)
);
CREATE INDEX job_tags_by_value ON job_tags (name, value, job_id);

-- What a job measured, point by point, numbered in the order of their coming.
CREATE TABLE job_points (
    job_id BIGINT NOT NULL REFERENCES training_jobs,
    seq    BIGINT NOT NULL,
    name   TEXT NOT NULL,
    step   BIGINT NOT NULL,
    epoch  BIGINT,
    -- None for what is not a number.
    value  DOUBLE PRECISION,
    -- Milliseconds since 1970.
    at_ms  BIGINT NOT NULL,
    PRIMARY KEY (job_id, seq)
) WITHOUT ROWID;
CREATE INDEX job_points_by_name ON job_points (job_id, name, seq);

-- The last point of each metric by step, time and value, and how many there are.
CREATE TABLE job_metrics (
    job_id BIGINT NOT NULL REFERENCES training_jobs,
    name   TEXT NOT NULL,
    points BIGINT NOT NULL,
    step   BIGINT NOT NULL,
    value  DOUBLE PRECISION,
    at_ms  BIGINT NOT NULL,
    PRIMARY KEY (job_id, name)
);
CREATE INDEX job_metrics_by_value ON job_metrics (name, value, job_id);

-- The lowest and the highest of every 16, 128, 1,024 and 8,192 points of a metric, so that a run of any length
-- is drawn from about a thousand rows.
CREATE TABLE job_spans (
    job_id     BIGINT NOT NULL REFERENCES training_jobs,
    name       TEXT NOT NULL,
    -- How many points a row stands for, and which such part of the metric it is, from 0.
    size       BIGINT NOT NULL,
    position   BIGINT NOT NULL,
    low        DOUBLE PRECISION,
    low_step   BIGINT,
    high       DOUBLE PRECISION,
    high_step  BIGINT,
    PRIMARY KEY (job_id, name, size, position)
);

-- From job to deployment: the job that a version came from. A job becomes one version.
ALTER TABLE versions ADD COLUMN job_id BIGINT REFERENCES training_jobs;
CREATE UNIQUE INDEX versions_by_job ON versions (job_id) WHERE job_id IS NOT NULL;

-- What a job was deployed as; one at a time, and nobody can make two.
CREATE TABLE job_deploys (
    release_id BIGINT PRIMARY KEY REFERENCES releases,
    job_id     BIGINT NOT NULL REFERENCES training_jobs,
    ended_at   DATETIME
);
CREATE UNIQUE INDEX job_deploys_once ON job_deploys (job_id) WHERE ended_at IS NULL;
