"""An event-sourced ledger of delivery cursors. `open` is the way in."""

from ledger.consuming.consumer import Consumer
from ledger.consuming.delivery import Delivery
from ledger.consuming.heads import Heads
from ledger.consuming.retrying import GiveUp, Retry
from ledger.consuming.window import WindowFullError
from ledger.errors import (
    BrokenChainError,
    DivergedError,
    InvalidCursorError,
    LedgerBusyError,
    LedgerError,
    SchemaVersionError,
    StorageError,
    UnknownOutcomeError,
)
from ledger.evidence.findings import Anomaly, Compared, Fault, FaultKind, Standing, Verification
from ledger.evidence.merkle import Checkpoint
from ledger.evidence.repair import Rebuild
from ledger.law.cursor import Cursor, CursorKey, Outcome
from ledger.law.events import (
    CursorAdvanced,
    CursorReset,
    CursorStarted,
    Entry,
    ErrorRecorded,
    Event,
    Move,
)
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.law.refusals import (
    ActorRequiredError,
    CursorExistsError,
    CursorNotFoundError,
    DeliveringError,
    EpochRequiredError,
    NonMonotonicCursorError,
    StaleEpochError,
    StaleTokenError,
    TakenOverError,
    VersionConflictError,
)
from ledger.law.requests import (
    AdvanceCursor,
    RecordError,
    Request,
    ResetCursor,
    ResetReasonRequiredError,
    StartCursor,
)
from ledger.law.rules import fold
from ledger.law.tokens import NEXT, ConfirmToken
from ledger.opening import open  # noqa: A004 - ledger.open(…) is how it reads
from ledger.service import Ledger
from ledger.stores import Horizon, Waiting
from ledger.writing.copying import Copied

__version__ = "0.1.0"

__all__ = [
    "NEXT",
    "ActorRequiredError",
    "AdvanceCursor",
    "Anomaly",
    "BrokenChainError",
    "Checkpoint",
    "Compared",
    "ConfirmToken",
    "Consumer",
    "Copied",
    "Cursor",
    "CursorAdvanced",
    "CursorExistsError",
    "CursorKey",
    "CursorNotFoundError",
    "CursorQuery",
    "CursorReset",
    "CursorStarted",
    "DeliveringError",
    "Delivery",
    "DivergedError",
    "Entry",
    "EntryQuery",
    "EpochRequiredError",
    "ErrorRecorded",
    "Event",
    "Fault",
    "FaultKind",
    "GiveUp",
    "Heads",
    "Horizon",
    "InvalidCursorError",
    "Ledger",
    "LedgerBusyError",
    "LedgerError",
    "Move",
    "NonMonotonicCursorError",
    "Outcome",
    "Rebuild",
    "RecordError",
    "Request",
    "ResetCursor",
    "ResetReasonRequiredError",
    "Retry",
    "SchemaVersionError",
    "StaleEpochError",
    "StaleTokenError",
    "Standing",
    "StartCursor",
    "StorageError",
    "TakenOverError",
    "UnknownOutcomeError",
    "Verification",
    "VersionConflictError",
    "Waiting",
    "WindowFullError",
    "fold",
    "open",
]
