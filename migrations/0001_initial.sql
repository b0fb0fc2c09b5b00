-- The tables of the design. Ids are opaque strings with a prefix. Times are the database's clock.
create table models (
    id text primary key,
    name text not null,
    folder text not null,
    job_id text,                              -- the job that made it; null for built-in and imported ones
    details jsonb not null default '{}',      -- family, parameters, context length, recipe, parent, ...
    built_in boolean not null default false,
    created_at timestamptz not null default now()
);

create table datasets (
    id text primary key,
    name text not null,
    row_count integer not null,
    byte_count bigint,                        -- of the upload; null where it was none
    job_id text,
    built_in boolean not null default false,
    created_at timestamptz not null default now()
);

create table dataset_rows (
    dataset_id text not null references datasets (id) on delete cascade,
    index integer not null,
    content jsonb not null,
    primary key (dataset_id, index)
);

-- An upload keeps its bytes, in pieces: one value may not be larger than 1 GB.
create table dataset_bytes (
    dataset_id text not null references datasets (id) on delete cascade,
    index integer not null,
    bytes bytea not null,
    primary key (dataset_id, index)
);

create table devices (
    id text primary key,                      -- HOST/cpu, HOST/cuda:0
    host text not null,
    name text not null,
    memory_bytes bigint not null,
    heartbeat_at timestamptz not null default now()
);

create table runs (
    id text primary key,
    name text not null,
    recipe jsonb not null,
    seed bigint not null,
    created_at timestamptz not null default now()
);

create table jobs (
    id text primary key,
    run_id text not null references runs (id) on delete cascade,
    position integer not null,                -- place in its run, from 0
    name text not null,                       -- the stage's name in the recipe
    stage text not null,
    options jsonb not null,                   -- as sent: references unresolved
    seed bigint not null,
    status text not null default 'queued' check (status in ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')),
    attempt integer not null default 0,
    crashes integer not null default 0,       -- attempts in a row that died without a new checkpoint
    progressed boolean not null default false, -- the attempt that holds the lease has made a checkpoint
    max_attempts integer not null default 3,
    lease_owner text,
    lease_stamp bigint not null default 0,    -- grows with every claim; every write of an attempt presents it
    lease_expires_at timestamptz,
    lease_devices text[] not null default '{}',
    stop_requested text check (stop_requested in ('cancel', 'pause')),
    phase text,
    step integer not null default 0,
    total_steps integer,
    model_id text references models (id) on delete set null,      -- what it made
    dataset_id text references datasets (id) on delete set null,
    result jsonb,
    error jsonb,                              -- {"phase","message"}
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    unique (run_id, position)
);
create index jobs_open on jobs (created_at, position) where status in ('queued', 'running');

create table job_events (
    id bigint generated always as identity primary key,
    job_id text not null references jobs (id) on delete cascade,
    attempt integer not null,
    level text not null,
    message text not null,
    created_at timestamptz not null default now()
);
create index job_events_by_job on job_events (job_id, id);

create table metrics (
    job_id text not null references jobs (id) on delete cascade,
    step integer not null,
    name text not null,
    value double precision not null,
    primary key (job_id, step, name)
);

create table samples (
    job_id text not null references jobs (id) on delete cascade,
    step integer not null,
    index integer not null,
    prompt text not null,
    completion text not null,
    token_count integer not null,
    reward double precision,
    advantage double precision,
    finish_reason text not null,
    policy_version integer not null,
    primary key (job_id, step, index)
);

create table rewards (
    job_id text not null,
    step integer not null,
    index integer not null,
    name text not null,
    value double precision,
    primary key (job_id, step, index, name),
    foreign key (job_id, step, index) references samples (job_id, step, index) on delete cascade
);

create table checkpoints (
    job_id text not null references jobs (id) on delete cascade,
    step integer not null,
    uri text not null,
    created_at timestamptz not null default now(),
    primary key (job_id, step)
);
