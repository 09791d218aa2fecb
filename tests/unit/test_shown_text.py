"""What is shown of texts and times is the same by the short way and by the long one."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.log import text
from ledger.log.text import show_time, visible, visible_json


@pytest.mark.slow("it tries every character there is")
def test_every_character_that_is_escaped_takes_the_long_way() -> None:
    escaped = re.compile(text._INVISIBLE)
    every = [chr(code) for code in range(sys.maxunicode + 1)]
    hidden = {each for each in every if escaped.match(each)}
    assert len(hidden) > 2_000
    assert not [each for each in hidden if each.isprintable()]
    assert not [each for each in hidden if visible(f"a{each}") == f"a{each}"]
    in_json = {each for each in every if re.match(text._JSON_INVISIBLE, each)}
    assert not [each for each in in_json if visible_json(f"a{each}") == f"a{each}"]


@given(st.lists(st.datetimes(timezones=st.just(UTC)) | st.none(), max_size=6))
def test_a_time_that_is_shown_again_is_shown_as_before(moments: list[datetime | None]) -> None:
    for moment in moments:
        if moment is not None:
            expected = moment.isoformat().replace("+00:00", "Z")
            assert [show_time(moment), show_time(moment)] == [expected] * 2


def test_a_time_of_another_zone_is_shown_in_utc() -> None:
    noon = datetime(2026, 5, 5, 12, 0, 0, 7, tzinfo=timezone(timedelta(hours=2)))
    assert show_time(noon) == "2026-05-05T10:00:00.000007Z"
    assert show_time(noon.astimezone(UTC)) == "2026-05-05T10:00:00.000007Z"
