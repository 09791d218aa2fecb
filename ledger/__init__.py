"""An event-sourced ledger of delivery cursors. `open` is the way in."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.consuming.consumer import Consumer
    from ledger.consuming.delivery import Delivery
    from ledger.consuming.heads import Heads
    from ledger.consuming.retrying import GiveUp, Retry
    from ledger.consuming.window import WindowFullError
    from ledger.errors import (
        ArchivedError,
        BrokenChainError,
        DivergedError,
        InvalidCursorError,
        LedgerBusyError,
        LedgerError,
        SchemaVersionError,
        StorageError,
        UnknownOutcomeError,
        UnprovenError,
    )
    from ledger.evidence.allowed_signers import AllowedSigners, SignatureState, SignedBy
    from ledger.evidence.archives import Archive
    from ledger.evidence.bundled import ProvedEvidence, verify_evidence
    from ledger.evidence.bundles import EvidenceKind
    from ledger.evidence.findings import (
        Anomaly,
        Compared,
        Fault,
        FaultKind,
        Partial,
        Standing,
        Verification,
    )
    from ledger.evidence.key_files import make_key
    from ledger.evidence.merkle import Checkpoint
    from ledger.evidence.notes import SigningKey, VerifierKey, open_note
    from ledger.evidence.plan_texts import PlanText
    from ledger.evidence.proofs import ConsistencyProof, EntryProof, Proved
    from ledger.evidence.repair import Rebuild
    from ledger.evidence.ssh_signatures import SshSignature
    from ledger.evidence.tree_heads import TreeHead
    from ledger.evidence.witnesses import Cosignature, CosigningKey, WitnessKey, cosignatures
    from ledger.evidence.witnessing import cosign, make_witness
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
    from ledger.law.policies import Policy, PolicyChange, PolicyKind, PolicyUnmetError
    from ledger.law.queries import CursorQuery, EntryQuery
    from ledger.law.refusals import (
        ActorRequiredError,
        CursorExistsError,
        CursorNotFoundError,
        EpochRequiredError,
        NonMonotonicCursorError,
        StaleEpochError,
        StaleTokenError,
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
    from ledger.law.rivals import DeliveringError, TakenOverError
    from ledger.law.rules import fold
    from ledger.law.tokens import NEXT, ConfirmToken
    from ledger.opening import lazy, open  # noqa: A004 - ledger.open(…) is how it reads
    from ledger.service import Ledger
    from ledger.service.policies import Policies
    from ledger.stores.horizon import Horizon, Waiting
    from ledger.writing.copying import Copied

__version__ = "0.1.0"

__all__ = [
    "NEXT",
    "ActorRequiredError",
    "AdvanceCursor",
    "AllowedSigners",
    "Anomaly",
    "Archive",
    "ArchivedError",
    "BrokenChainError",
    "Checkpoint",
    "Compared",
    "ConfirmToken",
    "ConsistencyProof",
    "Consumer",
    "Copied",
    "Cosignature",
    "CosigningKey",
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
    "EntryProof",
    "EntryQuery",
    "EpochRequiredError",
    "ErrorRecorded",
    "Event",
    "EvidenceKind",
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
    "Partial",
    "PlanText",
    "Policies",
    "Policy",
    "PolicyChange",
    "PolicyKind",
    "PolicyUnmetError",
    "Proved",
    "ProvedEvidence",
    "Rebuild",
    "RecordError",
    "Request",
    "ResetCursor",
    "ResetReasonRequiredError",
    "Retry",
    "SchemaVersionError",
    "SignatureState",
    "SignedBy",
    "SigningKey",
    "SshSignature",
    "StaleEpochError",
    "StaleTokenError",
    "Standing",
    "StartCursor",
    "StorageError",
    "TakenOverError",
    "TreeHead",
    "UnknownOutcomeError",
    "UnprovenError",
    "Verification",
    "VerifierKey",
    "VersionConflictError",
    "Waiting",
    "WindowFullError",
    "WitnessKey",
    "cosign",
    "cosignatures",
    "fold",
    "lazy",
    "make_key",
    "make_witness",
    "open",
    "open_note",
    "verify_evidence",
]

# Each is imported when it is first used, because a program needs but a few of them.
_NAMES = {
    "ledger.consuming.consumer": "Consumer",
    "ledger.consuming.delivery": "Delivery",
    "ledger.consuming.heads": "Heads",
    "ledger.consuming.retrying": "GiveUp Retry",
    "ledger.consuming.window": "WindowFullError",
    "ledger.errors": (
        "ArchivedError BrokenChainError DivergedError InvalidCursorError LedgerBusyError "
        "LedgerError SchemaVersionError StorageError UnknownOutcomeError UnprovenError"
    ),
    "ledger.evidence.bundled": "ProvedEvidence verify_evidence",
    "ledger.evidence.bundles": "EvidenceKind",
    "ledger.evidence.allowed_signers": "AllowedSigners SignatureState SignedBy",
    "ledger.evidence.archives": "Archive",
    "ledger.evidence.findings": "Anomaly Compared Fault FaultKind Partial Standing Verification",
    "ledger.evidence.key_files": "make_key",
    "ledger.evidence.merkle": "Checkpoint",
    "ledger.evidence.notes": "SigningKey VerifierKey open_note",
    "ledger.evidence.proofs": "ConsistencyProof EntryProof Proved",
    "ledger.evidence.plan_texts": "PlanText",
    "ledger.evidence.repair": "Rebuild",
    "ledger.evidence.ssh_signatures": "SshSignature",
    "ledger.evidence.tree_heads": "TreeHead",
    "ledger.evidence.witnesses": "Cosignature CosigningKey WitnessKey cosignatures",
    "ledger.evidence.witnessing": "cosign make_witness",
    "ledger.law.cursor": "Cursor CursorKey Outcome",
    "ledger.law.events": (
        "CursorAdvanced CursorReset CursorStarted Entry ErrorRecorded Event Move"
    ),
    "ledger.law.policies": "Policy PolicyChange PolicyKind PolicyUnmetError",
    "ledger.law.queries": "CursorQuery EntryQuery",
    "ledger.law.refusals": (
        "ActorRequiredError CursorExistsError CursorNotFoundError EpochRequiredError "
        "NonMonotonicCursorError StaleEpochError StaleTokenError VersionConflictError"
    ),
    "ledger.law.requests": (
        "AdvanceCursor RecordError Request ResetCursor ResetReasonRequiredError StartCursor"
    ),
    "ledger.law.rivals": "DeliveringError TakenOverError",
    "ledger.law.rules": "fold",
    "ledger.law.tokens": "NEXT ConfirmToken",
    "ledger.opening": "lazy open",
    "ledger.service": "Ledger",
    "ledger.service.policies": "Policies",
    "ledger.stores.horizon": "Horizon Waiting",
    "ledger.writing.copying": "Copied",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}
# A program may have used one after `import ledger` alone.
_ROOMS = (
    *("consuming", "errors", "evidence", "law", "log", "notices", "opening", "positions"),
    *("service", "stores", "targets", "waking", "writing"),
)


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value: object = getattr(import_module(_HOMES[name]), name)
    elif name in _ROOMS:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_ROOMS})
