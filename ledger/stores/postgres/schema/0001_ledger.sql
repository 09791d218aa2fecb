-- Run with search_path = pg_catalog, pg_temp, so that types, functions and operators can only be
-- PostgreSQL's own; what is made here is named with its schema.

-- One row a cursor: where it stands, and where the chain of its entries ends.
-- It can always be made anew from ledger_events. Times are microseconds since 1970 UTC.
-- The id is made from the key, so whoever knows the key need not ask for it, and all that a cursor
-- has is found, and may be kept, by this one number.
CREATE TABLE {schema}.ledger_cursors (
    id                bigint NOT NULL PRIMARY KEY,
    consumer_id       text COLLATE "C" NOT NULL,
    stream_name       text COLLATE "C" NOT NULL,
    subject_id        text COLLATE "C" NOT NULL,
    last_sequence     bigint NOT NULL,
    last_delivery_id  text   NOT NULL,
    last_delivered_at bigint,
    last_error        text   NOT NULL,
    updated_at        bigint NOT NULL,
    version           bigint NOT NULL,
    epoch             bigint NOT NULL,
    recorded_at       bigint NOT NULL,
    digest            bytea  NOT NULL
) WITH (fillfactor = 70);

-- An index row holds 2,704 bytes, and a key may have 6,144: those few have an index of their own.
CREATE INDEX ledger_cursors_by_key ON {schema}.ledger_cursors (stream_name, subject_id, consumer_id)
    WHERE octet_length(stream_name) + octet_length(subject_id) + octet_length(consumer_id) <= 2400;

CREATE INDEX ledger_cursors_long_keys ON {schema}.ledger_cursors (id)
    WHERE octet_length(stream_name) + octet_length(subject_id) + octet_length(consumer_id) > 2400;

-- What events are kept under, for ever. An event names its tag by id.
CREATE TABLE {schema}.ledger_tags (
    id  smallint NOT NULL PRIMARY KEY,
    tag text     NOT NULL
);

INSERT INTO {schema}.ledger_tags (id, tag)
VALUES (1, 'cursor.advanced.v1'), (2, 'cursor.reset.v1'), (3, 'cursor.error.v1');

-- Positions order the whole log. They have holes where a transaction was rolled back.
CREATE SEQUENCE {schema}.ledger_positions AS bigint;

-- Tells this ledger from all others: a connection that is lent must be to the same one.
CREATE TABLE {schema}.ledger_identity (
    id uuid NOT NULL PRIMARY KEY
);

INSERT INTO {schema}.ledger_identity (id) VALUES (gen_random_uuid());

-- One row an entry, never changed; spread over tables by its cursor.
CREATE TABLE {schema}.ledger_events (
    position          bigint   NOT NULL DEFAULT nextval({positions}),
    cursor_id         bigint   NOT NULL,
    version           bigint   NOT NULL,
    epoch             bigint   NOT NULL,
    recorded_at       bigint   NOT NULL,
    actor             text     NOT NULL,
    metadata          text,
    tag_id            smallint NOT NULL,
    previous_sequence bigint,
    sequence          bigint,
    delivery_id       text,
    delivered_at      bigint,
    outcome           text,
    reason            text,
    message           text,
    occurred_at       bigint   NOT NULL,
    digest            bytea    NOT NULL,
    PRIMARY KEY (cursor_id, version)
) PARTITION BY HASH (cursor_id);

CREATE TABLE {schema}.ledger_events_0 PARTITION OF {schema}.ledger_events
    FOR VALUES WITH (MODULUS 8, REMAINDER 0);
CREATE TABLE {schema}.ledger_events_1 PARTITION OF {schema}.ledger_events
    FOR VALUES WITH (MODULUS 8, REMAINDER 1);
CREATE TABLE {schema}.ledger_events_2 PARTITION OF {schema}.ledger_events
    FOR VALUES WITH (MODULUS 8, REMAINDER 2);
CREATE TABLE {schema}.ledger_events_3 PARTITION OF {schema}.ledger_events
    FOR VALUES WITH (MODULUS 8, REMAINDER 3);
CREATE TABLE {schema}.ledger_events_4 PARTITION OF {schema}.ledger_events
    FOR VALUES WITH (MODULUS 8, REMAINDER 4);
CREATE TABLE {schema}.ledger_events_5 PARTITION OF {schema}.ledger_events
    FOR VALUES WITH (MODULUS 8, REMAINDER 5);
CREATE TABLE {schema}.ledger_events_6 PARTITION OF {schema}.ledger_events
    FOR VALUES WITH (MODULUS 8, REMAINDER 6);
CREATE TABLE {schema}.ledger_events_7 PARTITION OF {schema}.ledger_events
    FOR VALUES WITH (MODULUS 8, REMAINDER 7);

CREATE INDEX ledger_events_by_position ON {schema}.ledger_events (position);

-- Resets are few, and the first thing that an audit asks for.
CREATE INDEX ledger_events_resets ON {schema}.ledger_events (position) WHERE tag_id = 2;

CREATE FUNCTION {schema}.ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $refuse$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$refuse$;

CREATE TRIGGER ledger_events_refuse_change BEFORE UPDATE OR DELETE ON {schema}.ledger_events
    FOR EACH ROW EXECUTE FUNCTION {schema}.ledger_refuse();

-- A table's own: the trigger of the whole is not asked when a part is emptied.
CREATE TRIGGER ledger_events_refuse_truncate BEFORE TRUNCATE ON {schema}.ledger_events
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_refuse();
CREATE TRIGGER ledger_events_refuse_truncate BEFORE TRUNCATE ON {schema}.ledger_events_0
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_refuse();
CREATE TRIGGER ledger_events_refuse_truncate BEFORE TRUNCATE ON {schema}.ledger_events_1
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_refuse();
CREATE TRIGGER ledger_events_refuse_truncate BEFORE TRUNCATE ON {schema}.ledger_events_2
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_refuse();
CREATE TRIGGER ledger_events_refuse_truncate BEFORE TRUNCATE ON {schema}.ledger_events_3
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_refuse();
CREATE TRIGGER ledger_events_refuse_truncate BEFORE TRUNCATE ON {schema}.ledger_events_4
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_refuse();
CREATE TRIGGER ledger_events_refuse_truncate BEFORE TRUNCATE ON {schema}.ledger_events_5
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_refuse();
CREATE TRIGGER ledger_events_refuse_truncate BEFORE TRUNCATE ON {schema}.ledger_events_6
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_refuse();
CREATE TRIGGER ledger_events_refuse_truncate BEFORE TRUNCATE ON {schema}.ledger_events_7
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_refuse();

-- A cursor moves, but its key stays, and it goes only with its entries: never.
CREATE TRIGGER ledger_cursors_refuse_delete BEFORE DELETE ON {schema}.ledger_cursors
    FOR EACH ROW EXECUTE FUNCTION {schema}.ledger_refuse();
CREATE TRIGGER ledger_cursors_refuse_truncate BEFORE TRUNCATE ON {schema}.ledger_cursors
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_refuse();

-- For people with a SQL prompt: the entries with their keys, and times that can be read.
CREATE VIEW {schema}.ledger_log AS
SELECT
    e.position,
    c.consumer_id,
    c.stream_name,
    c.subject_id,
    e.version,
    e.epoch,
    timestamptz 'epoch' + e.recorded_at * interval '1 microsecond' AS recorded_at,
    e.actor,
    e.metadata,
    t.tag,
    e.previous_sequence,
    e.sequence,
    e.delivery_id,
    timestamptz 'epoch' + e.delivered_at * interval '1 microsecond' AS delivered_at,
    e.outcome,
    e.reason,
    e.message,
    timestamptz 'epoch' + e.occurred_at * interval '1 microsecond' AS occurred_at,
    encode(e.digest, 'hex') AS digest
FROM {schema}.ledger_events AS e
JOIN {schema}.ledger_cursors AS c ON c.id = e.cursor_id
JOIN {schema}.ledger_tags AS t ON t.id = e.tag_id;
