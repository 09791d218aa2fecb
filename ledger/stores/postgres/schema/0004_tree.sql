-- Run with any search_path: each name says whose it is.

-- The tree over all entries, so far as it is kept: the root over each full block of 256 settled
-- entries, of 256 such blocks, and so on. A cache, made by checkpoints and never by an append; who
-- verifies the log recomputes it. A block is found by its last position, because those have holes.
CREATE TABLE {schema}.ledger_tree (
    level    smallint         NOT NULL
        CHECK (level OPERATOR(pg_catalog.>=) 1 AND level OPERATOR(pg_catalog.<=) 3),
    number   bigint           NOT NULL,
    position bigint           NOT NULL,
    root     pg_catalog.bytea NOT NULL CHECK (pg_catalog.octet_length(root) OPERATOR(pg_catalog.=) 32),
    PRIMARY KEY (level, number)
);

CREATE TRIGGER ledger_tree_refuse_change BEFORE UPDATE OR DELETE ON {schema}.ledger_tree
    FOR EACH ROW EXECUTE FUNCTION {schema}.ledger_refuse();
CREATE TRIGGER ledger_tree_refuse_truncate BEFORE TRUNCATE ON {schema}.ledger_tree
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.ledger_refuse();
