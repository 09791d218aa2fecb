-- One row a cursor: where it stands, and where the chain of its entries ends.
-- It can always be made anew from ledger_events. Times are microseconds since 1970 UTC.
CREATE TABLE ledger_cursors (
    id                INTEGER PRIMARY KEY,
    consumer_id       TEXT    NOT NULL,
    stream_name       TEXT    NOT NULL,
    subject_id        TEXT    NOT NULL,
    last_sequence     INTEGER NOT NULL,
    last_delivery_id  TEXT    NOT NULL,
    last_delivered_at INTEGER,
    last_error        TEXT    NOT NULL,
    updated_at        INTEGER NOT NULL,
    version           INTEGER NOT NULL,
    epoch             INTEGER NOT NULL,
    recorded_at       INTEGER NOT NULL,
    digest            BLOB    NOT NULL
);

CREATE UNIQUE INDEX ledger_cursors_by_key
    ON ledger_cursors (stream_name, subject_id, consumer_id);

-- What events are kept under, for ever. An event names its tag by id: spelled out, it would take an
-- eighth of the file.
CREATE TABLE ledger_tags (
    id  INTEGER PRIMARY KEY,
    tag TEXT NOT NULL UNIQUE
);

INSERT INTO ledger_tags (id, tag)
VALUES (1, 'cursor.advanced.v1'), (2, 'cursor.reset.v1'), (3, 'cursor.error.v1');

-- One row an entry, never changed. It names its cursor by id, which halves the file.
CREATE TABLE ledger_events (
    position          INTEGER PRIMARY KEY,
    cursor_id         INTEGER NOT NULL REFERENCES ledger_cursors (id),
    version           INTEGER NOT NULL,
    epoch             INTEGER NOT NULL,
    recorded_at       INTEGER NOT NULL,
    actor             TEXT    NOT NULL,
    metadata          TEXT,
    tag_id            INTEGER NOT NULL REFERENCES ledger_tags (id),
    previous_sequence INTEGER,
    sequence          INTEGER,
    delivery_id       TEXT,
    delivered_at      INTEGER,
    outcome           TEXT,
    reason            TEXT,
    message           TEXT,
    occurred_at       INTEGER NOT NULL,
    digest            BLOB    NOT NULL
);

CREATE UNIQUE INDEX ledger_events_by_cursor
    ON ledger_events (cursor_id, version);

-- Resets are few, and the first thing that an audit asks for.
CREATE INDEX ledger_events_resets
    ON ledger_events (position) WHERE tag_id = 2;

CREATE TRIGGER ledger_events_refuse_update BEFORE UPDATE ON ledger_events
BEGIN
    SELECT RAISE(ABORT, 'ledger_events is append-only: an entry is never changed');
END;

CREATE TRIGGER ledger_events_refuse_delete BEFORE DELETE ON ledger_events
BEGIN
    SELECT RAISE(ABORT, 'ledger_events is append-only: an entry is never deleted');
END;

-- INSERT OR REPLACE deletes without asking the trigger above, unless recursive_triggers is on.
CREATE TRIGGER ledger_events_refuse_replace BEFORE INSERT ON ledger_events
WHEN EXISTS (SELECT 1 FROM ledger_events WHERE position = NEW.position)
  OR EXISTS (
      SELECT 1 FROM ledger_events WHERE cursor_id = NEW.cursor_id AND version = NEW.version
  )
BEGIN
    SELECT RAISE(ABORT, 'ledger_events is append-only: an entry is never replaced');
END;

-- For people with a SQL prompt: the entries with their keys, and times that can be read.
CREATE VIEW ledger_log AS
SELECT
    e.position,
    c.consumer_id,
    c.stream_name,
    c.subject_id,
    e.version,
    e.epoch,
    strftime('%Y-%m-%dT%H:%M:%S', e.recorded_at / 1000000 - (e.recorded_at % 1000000 < 0), 'unixepoch')
        || printf('.%06dZ', ((e.recorded_at % 1000000) + 1000000) % 1000000) AS recorded_at,
    e.actor,
    e.metadata,
    t.tag,
    e.previous_sequence,
    e.sequence,
    e.delivery_id,
    strftime('%Y-%m-%dT%H:%M:%S', e.delivered_at / 1000000 - (e.delivered_at % 1000000 < 0), 'unixepoch')
        || printf('.%06dZ', ((e.delivered_at % 1000000) + 1000000) % 1000000) AS delivered_at,
    e.outcome,
    e.reason,
    e.message,
    strftime('%Y-%m-%dT%H:%M:%S', e.occurred_at / 1000000 - (e.occurred_at % 1000000 < 0), 'unixepoch')
        || printf('.%06dZ', ((e.occurred_at % 1000000) + 1000000) % 1000000) AS occurred_at,
    lower(hex(e.digest)) AS digest
FROM ledger_events AS e
JOIN ledger_cursors AS c ON c.id = e.cursor_id
JOIN ledger_tags AS t ON t.id = e.tag_id;
