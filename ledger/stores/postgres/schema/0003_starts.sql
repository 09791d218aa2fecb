-- Run with any search_path, perhaps in a caller's transaction: each name says whose it is.

-- A cursor may begin somewhere else than at 0, by an entry of its own kind.
INSERT INTO {schema}.ledger_tags (id, tag) VALUES (4, 'cursor.started.v1');
