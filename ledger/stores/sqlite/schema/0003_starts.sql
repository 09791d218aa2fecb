-- A cursor may begin somewhere else than at 0, by an entry of its own kind. Only a migration adds to
-- the tags, so the trigger that keeps others from it is put back as it was.
DROP TRIGGER ledger_tags_refuse_insert;

INSERT INTO ledger_tags (id, tag) VALUES (4, 'cursor.started.v1');

CREATE TRIGGER ledger_tags_refuse_insert BEFORE INSERT ON ledger_tags
BEGIN
    SELECT RAISE(ABORT, 'ledger_tags: a tag is never added');
END;
