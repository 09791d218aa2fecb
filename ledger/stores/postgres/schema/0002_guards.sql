-- Run with search_path = pg_catalog, pg_temp, as 0001. Functions are run later, on whatever path the
-- caller has: each name and operator in them says that it is PostgreSQL's own.

-- Says whether a role may append: by itself, as a superuser, or as a member of a role that may.
CREATE FUNCTION {schema}.ledger_may_append(role oid, events oid) RETURNS boolean
LANGUAGE sql STABLE STRICT AS $may_append$
    SELECT coalesce(pg_catalog.has_any_column_privilege(role, events, 'INSERT'), false)
        OR EXISTS (
            SELECT FROM pg_catalog.pg_roles AS r
            CROSS JOIN (
                SELECT events AS oid
                UNION ALL
                SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i
                WHERE i.inhparent OPERATOR(pg_catalog.=) events
            ) AS t
            WHERE pg_catalog.pg_has_role(role, r.oid, 'MEMBER')
                AND pg_catalog.has_any_column_privilege(r.oid, t.oid, 'INSERT')
        )
$may_append$;

-- Whoever inserts an entry first takes a lock that readers look for, before a position is drawn: see
-- docs/decisions/0005. The lock's name says which ledger, and which position was the last one then.
-- A setting remembers that this transaction has it, so that it takes only one; a ROLLBACK TO that
-- releases the lock takes the setting back as well. It holds the number of the transaction, so that
-- what a role, a database or a session has set before does not count.
CREATE FUNCTION {schema}.ledger_gate() RETURNS trigger LANGUAGE plpgsql AS $gate$
DECLARE
    positions pg_catalog.oid;
    setting pg_catalog.text;
    mark pg_catalog.text;
    number bigint;
BEGIN
    -- What nearly every statement does is one expression without variables, because PL/pgSQL
    -- prepares each expression anew in each transaction. Its constants are of this schema; one that
    -- was renamed goes the long way.
    IF TG_TABLE_SCHEMA OPERATOR(pg_catalog.=) {name} THEN
        IF (CASE
            WHEN pg_catalog.current_setting(
                pg_catalog.textcat(
                    'cursor_ledger.gate_',
                    {positions}::pg_catalog.regclass::pg_catalog.oid::pg_catalog.text
                ),
                true
            ) OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id()::pg_catalog.text THEN true
            WHEN session_user OPERATOR(pg_catalog.<>) current_user THEN false
            WHEN pg_catalog.pg_try_advisory_xact_lock_shared(
                ({positions}::pg_catalog.regclass::bigint
                    OPERATOR(pg_catalog.&) 2147483647)::integer,
                (coalesce(pg_catalog.pg_sequence_last_value({positions}::pg_catalog.regclass), 0)
                    OPERATOR(pg_catalog.&) 2147483647)::integer
            ) THEN pg_catalog.set_config(
                pg_catalog.textcat(
                    'cursor_ledger.gate_',
                    {positions}::pg_catalog.regclass::pg_catalog.oid::pg_catalog.text
                ),
                pg_catalog.pg_current_xact_id()::pg_catalog.text,
                true
            ) IS NOT NULL
            ELSE false
        END) THEN
            RETURN NULL;
        END IF;
    END IF;

    positions := pg_catalog.format(
        '%I.ledger_positions', TG_TABLE_SCHEMA
    )::pg_catalog.regclass::pg_catalog.oid;
    setting := pg_catalog.format('cursor_ledger.gate_%s', positions);
    mark := pg_catalog.pg_current_xact_id()::pg_catalog.text;
    IF pg_catalog.current_setting(setting, true) OPERATOR(pg_catalog.=) mark THEN
        RETURN NULL;
    END IF;
    IF session_user OPERATOR(pg_catalog.<>) current_user
        AND NOT {schema}.ledger_may_append(
            pg_catalog.to_regrole(pg_catalog.quote_ident(session_user))::pg_catalog.oid, TG_RELID
        )
    THEN
        RAISE EXCEPTION 'readers wait only for roles that may append, and % may not', session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    number := coalesce(pg_catalog.pg_sequence_last_value(positions::pg_catalog.regclass), 0);
    -- A stranger who holds the very name makes nobody wait: one that is lower does as well.
    WHILE NOT pg_catalog.pg_try_advisory_xact_lock_shared(
        (positions::bigint OPERATOR(pg_catalog.&) 2147483647)::integer,
        (number OPERATOR(pg_catalog.&) 2147483647)::integer
    ) LOOP
        number := number OPERATOR(pg_catalog.-) 1;
    END LOOP;
    -- No PERFORM, which would run a whole query.
    mark := pg_catalog.set_config(setting, mark, true);
    RETURN NULL;
END
$gate$;

-- A table's own: the trigger of the whole is not asked when somebody inserts into a part.
CREATE TRIGGER ledger_events_gate BEFORE INSERT ON {schema}.ledger_events
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_gate();
CREATE TRIGGER ledger_events_gate BEFORE INSERT ON {schema}.ledger_events_0
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_gate();
CREATE TRIGGER ledger_events_gate BEFORE INSERT ON {schema}.ledger_events_1
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_gate();
CREATE TRIGGER ledger_events_gate BEFORE INSERT ON {schema}.ledger_events_2
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_gate();
CREATE TRIGGER ledger_events_gate BEFORE INSERT ON {schema}.ledger_events_3
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_gate();
CREATE TRIGGER ledger_events_gate BEFORE INSERT ON {schema}.ledger_events_4
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_gate();
CREATE TRIGGER ledger_events_gate BEFORE INSERT ON {schema}.ledger_events_5
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_gate();
CREATE TRIGGER ledger_events_gate BEFORE INSERT ON {schema}.ledger_events_6
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_gate();
CREATE TRIGGER ledger_events_gate BEFORE INSERT ON {schema}.ledger_events_7
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_gate();

-- Also where a session has switched other triggers off.
ALTER TABLE {schema}.ledger_events ENABLE ALWAYS TRIGGER ledger_events_gate;
ALTER TABLE {schema}.ledger_events_0 ENABLE ALWAYS TRIGGER ledger_events_gate;
ALTER TABLE {schema}.ledger_events_1 ENABLE ALWAYS TRIGGER ledger_events_gate;
ALTER TABLE {schema}.ledger_events_2 ENABLE ALWAYS TRIGGER ledger_events_gate;
ALTER TABLE {schema}.ledger_events_3 ENABLE ALWAYS TRIGGER ledger_events_gate;
ALTER TABLE {schema}.ledger_events_4 ENABLE ALWAYS TRIGGER ledger_events_gate;
ALTER TABLE {schema}.ledger_events_5 ENABLE ALWAYS TRIGGER ledger_events_gate;
ALTER TABLE {schema}.ledger_events_6 ENABLE ALWAYS TRIGGER ledger_events_gate;
ALTER TABLE {schema}.ledger_events_7 ENABLE ALWAYS TRIGGER ledger_events_gate;

-- Ends a statement of which a table has not stored every row, because a trigger or a rule kept some.
CREATE FUNCTION {schema}.ledger_swallowed(name text, stored bigint, wanted bigint) RETURNS bigint
LANGUAGE plpgsql AS $swallowed$
BEGIN
    RAISE EXCEPTION '% has stored % of % rows', name, stored, wanted USING ERRCODE = 'CL001';
END
$swallowed$;

-- A cursor's number is made from its key, and its entries name it by that.
CREATE TRIGGER ledger_cursors_refuse_rename
    BEFORE UPDATE OF id, consumer_id, stream_name, subject_id ON {schema}.ledger_cursors
    FOR EACH ROW EXECUTE FUNCTION {schema}.ledger_refuse();
