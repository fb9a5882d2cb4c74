CREATE TABLE counters (
    queue_number BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    leased BIGINT NOT NULL,
    blocked BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    sent BIGINT NOT NULL,
    deduplicated BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    acked BIGINT NOT NULL,
    retried BIGINT NOT NULL,
    released BIGINT NOT NULL,
    dead_lettered BIGINT NOT NULL,
    dropped BIGINT NOT NULL,
    expired BIGINT NOT NULL,
    purged BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    redriven BIGINT NOT NULL,
    PRIMARY KEY (queue_number)
);

CREATE TABLE deliveries (
    queue_number BIGINT NOT NULL,
    message_id BYTEA NOT NULL,
    rank SMALLINT NOT NULL,
    due_at BIGINT NOT NULL,
    expire_time BIGINT NOT NULL,
    size INTEGER NOT NULL,
    wire INTEGER NOT NULL,
    serial INTEGER NOT NULL,
    ordering_key TEXT,
    lapsed SMALLINT NOT NULL,
    attached SMALLINT NOT NULL,
    failed INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    consumer_instance TEXT NOT NULL,
    request_id TEXT,
    failures TEXT,
    code TEXT NOT NULL,
    PRIMARY KEY (queue_number, message_id)
);

CREATE INDEX deliveries_code ON deliveries (queue_number, code, rank, due_at, message_id) WHERE code <> '';

CREATE INDEX deliveries_end ON deliveries (queue_number, expire_time);

CREATE INDEX deliveries_key ON deliveries (queue_number, ordering_key, message_id) WHERE ordering_key IS NOT NULL;

CREATE INDEX deliveries_line ON deliveries (queue_number, rank, due_at, message_id);

CREATE INDEX deliveries_request ON deliveries (queue_number, request_id) WHERE request_id IS NOT NULL;

CREATE TABLE messages (
    queue_number BIGINT NOT NULL,
    message_id BYTEA NOT NULL,
    body_kind SMALLINT NOT NULL,
    type_name TEXT NOT NULL,
    body BYTEA NOT NULL,
    attributes TEXT NOT NULL,
    content_type TEXT NOT NULL,
    deduplication_id TEXT NOT NULL,
    ordering_key TEXT NOT NULL,
    send_time BIGINT NOT NULL,
    deliver_time BIGINT,
    expire_time BIGINT NOT NULL,
    producer TEXT NOT NULL,
    dead_letter TEXT,
    PRIMARY KEY (queue_number, message_id)
);

CREATE TABLE queues (
    number BIGSERIAL NOT NULL,
    name VARCHAR(63) NOT NULL,
    definition TEXT NOT NULL,
    pause TEXT,
    create_time BIGINT NOT NULL,
    update_time BIGINT NOT NULL,
    PRIMARY KEY (number),
    UNIQUE (name)
);

CREATE TABLE redrive_tasks (
    redrive_task_id TEXT NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (redrive_task_id)
);

CREATE TABLE repeats (
    queue_number BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    id TEXT NOT NULL,
    end_at BIGINT NOT NULL,
    digest BYTEA,
    answer TEXT NOT NULL,
    PRIMARY KEY (queue_number, kind, id)
);

CREATE INDEX repeats_end ON repeats (queue_number, end_at);

CREATE TABLE store (
    secret BYTEA NOT NULL
);

CREATE TABLE schema_version (
    version INTEGER NOT NULL
);

INSERT INTO schema_version (version) VALUES (1);
