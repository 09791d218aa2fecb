-- What stays of entries that were archived and pruned: of each the digest, so that the tree over all
-- entries is still the same.
CREATE TABLE ledger_archived (
    position    INTEGER PRIMARY KEY,
    recorded_at INTEGER NOT NULL CHECK (typeof(recorded_at) = 'integer'),
    digest      BLOB    NOT NULL CHECK (typeof(digest) = 'blob' AND length(digest) = 32)
);

-- Where each of their cursors stood behind the last of them, so that what is left goes on from there;
-- position is that of its last one, and moved_… are of its last one that is no error.
CREATE TABLE ledger_archived_cursors (
    cursor_id               INTEGER PRIMARY KEY REFERENCES ledger_cursors (id),
    position                INTEGER NOT NULL,
    last_sequence           INTEGER NOT NULL,
    last_delivery_id        TEXT    NOT NULL,
    last_delivered_at       INTEGER,
    last_error              TEXT    NOT NULL,
    updated_at              INTEGER NOT NULL,
    version                 INTEGER NOT NULL,
    epoch                   INTEGER NOT NULL,
    recorded_at             INTEGER NOT NULL,
    digest                  BLOB    NOT NULL,
    moved_version           INTEGER,
    moved_epoch             INTEGER,
    moved_recorded_at       INTEGER,
    moved_previous_sequence INTEGER,
    moved_sequence          INTEGER,
    moved_position          INTEGER
);

CREATE TRIGGER ledger_archived_refuse_update BEFORE UPDATE ON ledger_archived
BEGIN
    SELECT RAISE(ABORT, 'ledger_archived: a row is never changed');
END;

CREATE TRIGGER ledger_archived_refuse_delete BEFORE DELETE ON ledger_archived
BEGIN
    SELECT RAISE(ABORT, 'ledger_archived: a row is never deleted');
END;

CREATE TRIGGER ledger_archived_refuse_replace BEFORE INSERT ON ledger_archived
WHEN EXISTS (SELECT 1 FROM ledger_archived WHERE position = NEW.position)
BEGIN
    SELECT RAISE(ABORT, 'ledger_archived: a row is never replaced');
END;

CREATE TRIGGER ledger_archived_cursors_refuse_update BEFORE UPDATE ON ledger_archived_cursors
BEGIN
    SELECT RAISE(ABORT, 'ledger_archived_cursors: a row is never changed');
END;

CREATE TRIGGER ledger_archived_cursors_refuse_delete BEFORE DELETE ON ledger_archived_cursors
BEGIN
    SELECT RAISE(ABORT, 'ledger_archived_cursors: a row is never deleted');
END;

CREATE TRIGGER ledger_archived_cursors_refuse_replace BEFORE INSERT ON ledger_archived_cursors
WHEN EXISTS (SELECT 1 FROM ledger_archived_cursors WHERE cursor_id = NEW.cursor_id)
BEGIN
    SELECT RAISE(ABORT, 'ledger_archived_cursors: a row is never replaced');
END;

-- An entry that was pruned does not come back, and none is put where one was.
CREATE TRIGGER ledger_events_refuse_archived BEFORE INSERT ON ledger_events
-- A position that SQLite is yet to give is -1 here.
WHEN EXISTS (SELECT 1 FROM ledger_archived WHERE position >= NEW.position AND NEW.position > 0)
  OR EXISTS (
      SELECT 1 FROM ledger_archived_cursors
      WHERE cursor_id = NEW.cursor_id AND version >= NEW.version
  )
BEGIN
    SELECT RAISE(ABORT, 'ledger_events is append-only: an entry that was archived is never replaced');
END;
