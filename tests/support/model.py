"""The law in plain dictionaries, to hold the ledger against: no code shared with ledger.rules."""

from __future__ import annotations

from typing import Any

NEW = {"at": 0, "id": "", "seen": None, "error": "", "now": None, "version": 0, "epoch": 0}


class Model:
    """What every cursor should be; `apply` says why it refuses, or ""."""

    def __init__(self) -> None:
        self.cursors: dict[Any, dict[str, Any]] = {}

    def apply(self, op: str, key: Any, **ask: Any) -> str:
        old = self.cursors.get(key, NEW)
        if op == "start" and key in self.cursors:
            return "CursorExistsError"
        if ask.get("version") not in (None, old["version"]):
            return "VersionConflictError"
        new = {**old, "now": ask["now"], "version": old["version"] + 1, "error": ""}
        if op in ("advance", "confirm") and ask.get("epoch") not in (None, old["epoch"]):
            return "StaleEpochError"
        if op == "advance":
            again = key in self.cursors and ask["to"] == old["at"]
            if ask["to"] < old["at"] or (again and ask["id"] != old["id"]):
                return "NonMonotonicCursorError"
            new.update(at=ask["to"], id=ask["id"], seen=seen(old, ask, again=again))
        elif op == "confirm":
            again = old["at"] > 0 and ask["id"] == old["id"]
            if not again and (ask["after"] != old["id"] or old["at"] == 2**63 - 1):
                return "StaleTokenError"
            new.update(at=old["at"] + (not again), id=ask["id"], seen=seen(old, ask, again=again))
        elif op == "start":
            new.update(at=ask["to"], id=ask["id"], seen=ask["seen"])
        elif op == "reset":
            new.update(at=ask["to"], id=ask["id"], seen=ask["seen"], epoch=old["epoch"] + 1)
        else:
            new["error"] = ask["message"]
        self.cursors[key] = new
        return ""

    def copy(self) -> Model:
        twin = Model()
        twin.cursors = dict(self.cursors)
        return twin


def seen(old: dict[str, Any], ask: dict[str, Any], *, again: bool) -> Any:
    """Return the time of delivery: the first one, if it is confirmed again."""
    return (old["seen"] if again else None) or ask["seen"] or ask["now"]
