"""How a check is divided among processes, and what they may report."""

from __future__ import annotations

from ledger import Fault, FaultKind
from ledger.evidence import crew
from ledger.evidence.chains import CheckedChains
from ledger.evidence.faults import Faults
from ledger.evidence.source import EVERY, Ids


def test_ranges_cover_every_id_once() -> None:
    assert crew.ranges_between([]) == [EVERY]
    assert crew.ranges_between([3, 7]) == [Ids(None, 3), Ids(3, 7), Ids(7, None)]


def test_a_process_lists_no_more_faults_than_the_report() -> None:
    def of(count: int) -> CheckedChains:
        listed = [Fault(kind=FaultKind.EDITED, place="", detail="")] * count
        return CheckedChains(
            entries=count, cursors=1, faults=Faults(listed=listed, count=count), whole=True
        )

    bound = crew.Bound(left=3)
    found = [bound.cut(of(count)).faults for count in (2, 2, 2)]
    assert [len(each.listed) for each in found] == [2, 1, 0]
    assert [each.count for each in found] == [2, 2, 2]
