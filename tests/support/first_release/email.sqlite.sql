CREATE TABLE emails (
    email_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    digest VARCHAR(64) NOT NULL,
    recipient VARCHAR(254) NOT NULL,
    recipient_folded TEXT NOT NULL,
    subject TEXT NOT NULL,
    content TEXT NOT NULL,
    report_queue VARCHAR(63) NOT NULL,
    correlation_id TEXT NOT NULL,
    state VARCHAR(8) NOT NULL,
    attempts INTEGER NOT NULL,
    reason VARCHAR(64) NOT NULL,
    last_error TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    PRIMARY KEY (email_id),
    UNIQUE (idempotency_key)
);

CREATE INDEX emails_recipient ON emails (recipient_folded, email_id);

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

CREATE TABLE schema_version (
    version INTEGER NOT NULL
);

INSERT INTO schema_version (version) VALUES (2);
