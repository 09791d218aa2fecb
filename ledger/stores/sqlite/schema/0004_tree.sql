-- The tree over all entries, so far as it is kept: the root over each full block of 256 settled
-- entries, of 256 such blocks, and so on. A cache, made by checkpoints and never by an append; who
-- verifies the log recomputes it. A block is found by its last position, because those have holes.
CREATE TABLE ledger_tree (
    level    INTEGER NOT NULL CHECK (level IN (1, 2, 3)),
    number   INTEGER NOT NULL CHECK (typeof(number) = 'integer'),
    position INTEGER NOT NULL CHECK (typeof(position) = 'integer'),
    root     BLOB    NOT NULL CHECK (typeof(root) = 'blob' AND length(root) = 32),
    PRIMARY KEY (level, number)
) WITHOUT ROWID;

CREATE TRIGGER ledger_tree_refuse_update BEFORE UPDATE ON ledger_tree
BEGIN
    SELECT RAISE(ABORT, 'ledger_tree: a row is never changed');
END;

CREATE TRIGGER ledger_tree_refuse_delete BEFORE DELETE ON ledger_tree
BEGIN
    SELECT RAISE(ABORT, 'ledger_tree: a row is never deleted');
END;

-- INSERT OR REPLACE deletes without asking the trigger above, unless recursive_triggers is on.
CREATE TRIGGER ledger_tree_refuse_replace BEFORE INSERT ON ledger_tree
WHEN EXISTS (SELECT 1 FROM ledger_tree WHERE level = NEW.level AND number = NEW.number)
BEGIN
    SELECT RAISE(ABORT, 'ledger_tree: a row is never replaced');
END;
