-- Run with any search_path: each name says whose it is.

-- First of all, so that whoever is appending has ended when it is asked from where on it is noted.
LOCK TABLE {schema}.ledger_events IN SHARE ROW EXCLUSIVE MODE;

-- Who was logged in when a reset or a start was appended: the database says so, not the client. Of
-- all others there is no row. The first row, which names nobody, says behind which position it is
-- noted.
CREATE TABLE {schema}.ledger_sessions (
    position     bigint          NOT NULL PRIMARY KEY,
    session_role pg_catalog.text
);

INSERT INTO {schema}.ledger_sessions (position)
SELECT coalesce(pg_catalog.pg_sequence_last_value({positions}::pg_catalog.regclass), 0);

CREATE TRIGGER ledger_sessions_refuse_change BEFORE UPDATE OR DELETE ON {schema}.ledger_sessions
    FOR EACH ROW EXECUTE FUNCTION {schema}.ledger_refuse();
CREATE TRIGGER ledger_sessions_refuse_truncate BEFORE TRUNCATE ON {schema}.ledger_sessions
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_refuse();

-- Rights that a role is given by default, on whatever tables are made, do not count here.
CREATE FUNCTION {schema}.ledger_refuse_session() RETURNS trigger LANGUAGE plpgsql AS $refuse$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_class AS c
        WHERE c.oid OPERATOR(pg_catalog.=) TG_RELID
            AND pg_catalog.pg_get_userbyid(c.relowner) OPERATOR(pg_catalog.=) current_user
    ) THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% is written by the trigger on ledger_events alone: % is refused',
        TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$refuse$;

CREATE TRIGGER ledger_sessions_refuse_insert BEFORE INSERT ON {schema}.ledger_sessions
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_refuse_session();

-- Run with the rights of the owner, so that nobody else needs any on the table. It writes to the
-- table beside the one that it is a trigger of, wherever they are, if all of it has one owner:
-- somebody may put it on a table of their own, or give a schema the name that this one had.
CREATE FUNCTION {schema}.ledger_note_session() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $note$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_class AS t
        JOIN pg_catalog.pg_class AS e ON e.relnamespace OPERATOR(pg_catalog.=) t.relnamespace
            AND e.relname OPERATOR(pg_catalog.=) 'ledger_events'
        JOIN pg_catalog.pg_class AS s ON s.relnamespace OPERATOR(pg_catalog.=) t.relnamespace
            AND s.relname OPERATOR(pg_catalog.=) 'ledger_sessions'
            AND s.relowner OPERATOR(pg_catalog.=) e.relowner
        WHERE t.oid OPERATOR(pg_catalog.=) TG_RELID
            AND pg_catalog.pg_get_userbyid(e.relowner) OPERATOR(pg_catalog.=) current_user
            AND (
                t.oid OPERATOR(pg_catalog.=) e.oid OR EXISTS (
                    SELECT FROM pg_catalog.pg_inherits AS i
                    WHERE i.inhrelid OPERATOR(pg_catalog.=) t.oid
                        AND i.inhparent OPERATOR(pg_catalog.=) e.oid
                )
            )
    ) THEN
        RAISE EXCEPTION '% is not of the ledger of %, who owns ledger_note_session',
            TG_TABLE_NAME, current_user USING ERRCODE = 'insufficient_privilege',
            HINT = 'Give ledger_events, ledger_sessions and ledger_note_session the same owner.';
    END IF;
    EXECUTE pg_catalog.format(
        'INSERT INTO %I.ledger_sessions (position, session_role) VALUES ($1, $2)', TG_TABLE_SCHEMA
    ) USING NEW.position, session_user::pg_catalog.text;
    RETURN NULL;
END
$note$;

REVOKE ALL ON FUNCTION {schema}.ledger_note_session() FROM PUBLIC;

-- Advances and errors give no reason, and pay for a look at that: the condition is read anew by each
-- statement, so it is the shortest one. After the row is stored, because a trigger before it would
-- keep COPY from storing many rows at once.
CREATE TRIGGER ledger_events_note_session AFTER INSERT ON {schema}.ledger_events
    FOR EACH ROW WHEN (NEW.reason IS NOT NULL)
    EXECUTE FUNCTION {schema}.ledger_note_session();
