-- A cursor moves, but it never goes, and its id and key never change: its entries name it by the id,
-- and an id that was free again would be given to another key.
CREATE TRIGGER ledger_cursors_refuse_delete BEFORE DELETE ON ledger_cursors
BEGIN
    SELECT RAISE(ABORT, 'ledger_cursors: a cursor is never deleted');
END;

-- SQLite goes by the name that the statement uses, and the id has four.
CREATE TRIGGER ledger_cursors_refuse_new_key
BEFORE UPDATE OF id, rowid, oid, _rowid_, consumer_id, stream_name, subject_id ON ledger_cursors
BEGIN
    SELECT RAISE(ABORT, 'ledger_cursors: the id and the key of a cursor never change');
END;

-- INSERT OR REPLACE deletes without asking the first trigger, unless recursive_triggers is on.
CREATE TRIGGER ledger_cursors_refuse_replace BEFORE INSERT ON ledger_cursors
WHEN EXISTS (SELECT 1 FROM ledger_cursors WHERE id = NEW.id)
  OR EXISTS (
      SELECT 1 FROM ledger_cursors
      WHERE stream_name = NEW.stream_name
        AND subject_id = NEW.subject_id
        AND consumer_id = NEW.consumer_id
  )
BEGIN
    SELECT RAISE(ABORT, 'ledger_cursors: a cursor is never replaced');
END;

-- What an event is kept under is settled for ever. Only a migration adds to it.
CREATE TRIGGER ledger_tags_refuse_insert BEFORE INSERT ON ledger_tags
BEGIN
    SELECT RAISE(ABORT, 'ledger_tags: a tag is never added');
END;

CREATE TRIGGER ledger_tags_refuse_update BEFORE UPDATE ON ledger_tags
BEGIN
    SELECT RAISE(ABORT, 'ledger_tags: a tag is never changed');
END;

CREATE TRIGGER ledger_tags_refuse_delete BEFORE DELETE ON ledger_tags
BEGIN
    SELECT RAISE(ABORT, 'ledger_tags: a tag is never deleted');
END;
