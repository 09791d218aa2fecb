-- What others know this ledger by: one row, made when somebody first asks for it. A copy that the
-- operating system makes of the file has the same. No CHECK, which would run functions that the owner
-- of a connection may have put in the place of SQLite's own.
CREATE TABLE ledger_identity (id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;

CREATE TRIGGER ledger_identity_refuse_update BEFORE UPDATE ON ledger_identity
BEGIN
    SELECT RAISE(ABORT, 'ledger_identity: an id is never changed');
END;

CREATE TRIGGER ledger_identity_refuse_delete BEFORE DELETE ON ledger_identity
BEGIN
    SELECT RAISE(ABORT, 'ledger_identity: an id is never deleted');
END;

-- Also what INSERT OR REPLACE would do.
CREATE TRIGGER ledger_identity_refuse_another BEFORE INSERT ON ledger_identity
WHEN EXISTS (SELECT 1 FROM ledger_identity)
BEGIN
    SELECT RAISE(ABORT, 'ledger_identity: a ledger has one id');
END;
