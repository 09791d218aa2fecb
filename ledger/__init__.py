"""An event-sourced ledger of delivery cursors. `open` is the way in."""

from ledger.chain import Checkpoint
from ledger.copying import Copied
from ledger.cursor import Cursor, CursorKey, CursorQuery, Outcome
from ledger.errors import (
    ActorRequiredError,
    BrokenChainError,
    CursorNotFoundError,
    DivergedError,
    InvalidCursorError,
    LedgerBusyError,
    LedgerError,
    NonMonotonicCursorError,
    ResetReasonRequiredError,
    SchemaVersionError,
    StaleEpochError,
    StorageError,
    UnknownOutcomeError,
    VersionConflictError,
)
from ledger.events import CursorAdvanced, CursorReset, Entry, EntryQuery, ErrorRecorded, Event
from ledger.findings import Anomaly, Compared, Fault, FaultKind, Standing, Verification
from ledger.repair import Rebuild
from ledger.requests import AdvanceCursor, RecordError, Request, ResetCursor
from ledger.rules import fold
from ledger.service import Ledger, open  # noqa: A004 - ledger.open(…) is how it reads
from ledger.stores import Horizon, Waiting

__version__ = "0.1.0"

__all__ = [
    "ActorRequiredError",
    "AdvanceCursor",
    "Anomaly",
    "BrokenChainError",
    "Checkpoint",
    "Compared",
    "Copied",
    "Cursor",
    "CursorAdvanced",
    "CursorKey",
    "CursorNotFoundError",
    "CursorQuery",
    "CursorReset",
    "DivergedError",
    "Entry",
    "EntryQuery",
    "ErrorRecorded",
    "Event",
    "Fault",
    "FaultKind",
    "Horizon",
    "InvalidCursorError",
    "Ledger",
    "LedgerBusyError",
    "LedgerError",
    "NonMonotonicCursorError",
    "Outcome",
    "Rebuild",
    "RecordError",
    "Request",
    "ResetCursor",
    "ResetReasonRequiredError",
    "SchemaVersionError",
    "StaleEpochError",
    "Standing",
    "StorageError",
    "UnknownOutcomeError",
    "Verification",
    "VersionConflictError",
    "Waiting",
    "fold",
    "open",
]
