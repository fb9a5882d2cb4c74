CREATE TABLE outbox (
    position INTEGER NOT NULL,
    entry_id VARCHAR(128) NOT NULL,
    queue VARCHAR(63) NOT NULL,
    order_key TEXT NOT NULL,
    withdraw BOOLEAN NOT NULL,
    message_id TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    last_error TEXT NOT NULL,
    attributes TEXT NOT NULL,
    type_name VARCHAR(512) NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (position),
    UNIQUE (entry_id)
);

CREATE INDEX outbox_due ON outbox (due_at, position);

CREATE INDEX outbox_failed ON outbox (position) WHERE last_error <> '';

CREATE INDEX outbox_order ON outbox (order_key, position);

CREATE TABLE registrations (
    registration_id TEXT NOT NULL,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    email TEXT NOT NULL,
    address TEXT NOT NULL,
    distance VARCHAR(32) NOT NULL,
    state VARCHAR(16) NOT NULL,
    live_email_key TEXT,
    confirmation_key TEXT NOT NULL,
    confirmation_state VARCHAR(16) NOT NULL,
    unconfirmed_since BIGINT,
    cancellation_key TEXT,
    cause VARCHAR(16),
    reason TEXT,
    cancel_time BIGINT,
    create_time BIGINT NOT NULL,
    update_time BIGINT NOT NULL,
    PRIMARY KEY (registration_id),
    UNIQUE (live_email_key)
);

CREATE INDEX registrations_by_confirmation ON registrations (confirmation_state, registration_id);

CREATE INDEX registrations_unconfirmed ON registrations (unconfirmed_since);

CREATE TABLE notices (
    "key" TEXT NOT NULL,
    registration_id TEXT NOT NULL,
    mode VARCHAR(16) NOT NULL,
    state VARCHAR(16) NOT NULL,
    attempts INTEGER NOT NULL,
    last_error TEXT NOT NULL,
    message_id TEXT NOT NULL,
    email_id TEXT NOT NULL,
    trace_id VARCHAR(32) NOT NULL,
    create_time BIGINT NOT NULL,
    update_time BIGINT NOT NULL,
    PRIMARY KEY ("key"),
    FOREIGN KEY(registration_id) REFERENCES registrations (registration_id)
);

CREATE INDEX ix_notices_registration_id ON notices (registration_id);

CREATE INDEX notices_in_state ON notices (state, mode);

CREATE TABLE requests (
    request_id TEXT NOT NULL,
    digest VARCHAR(64) NOT NULL,
    registration_id TEXT NOT NULL,
    PRIMARY KEY (request_id),
    FOREIGN KEY(registration_id) REFERENCES registrations (registration_id)
);

CREATE TABLE schema_version (
    version INTEGER NOT NULL
);

INSERT INTO schema_version (version) VALUES (2);
