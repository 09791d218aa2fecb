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
        if op == "advance":
            if ask.get("epoch") not in (None, old["epoch"]):
                return "StaleEpochError"
            again = key in self.cursors and ask["to"] == old["at"]
            if ask["to"] < old["at"] or (again and ask["id"] != old["id"]):
                return "NonMonotonicCursorError"
            new.update(at=ask["to"], id=ask["id"], seen=ask["seen"] or ask["now"])
            if again and old["seen"] is not None:
                new["seen"] = old["seen"]
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
