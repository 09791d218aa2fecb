"""The pytest plugin, as the tests of a program that embeds the ledger have it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

PLUGIN = "pytest_cursor_ledger"

# Where this checkout was installed before it had a plugin, pytest does not find it by itself.
NAMED = () if entry_points(group="pytest11", name="cursor_ledger") else ("-p", PLUGIN)

OTHERS = {"asyncio": "pytest_asyncio", "anyio": "anyio"}
"""The plugins for coroutines, each with its package; a project has the one that it wants."""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A small project of somebody, whose tests run in a process of their own."""
    monkeypatch.delenv("CURSOR_LEDGER_TEST_DEPTH", raising=False)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return pytester


def without(plugins: Iterable[str]) -> list[str]:
    return [part for plugin in plugins for part in ("-p", f"no:{plugin}")]


def run(project: pytest.Pytester, tests: str, *, with_plugin: str = "") -> pytest.RunResult:
    project.makepyfile(textwrap.dedent(tests))
    return project.runpytest_subprocess(*NAMED, *without(OTHERS.keys() - {with_plugin}))


def test_a_project_tests_what_it_delivers(project: pytest.Pytester) -> None:
    done = run(
        project,
        """
        import ledger
        from ledger.testing import Source

        KEY = ledger.CursorKey("mailer", "orders")

        def test_a_mail_that_bounces_is_sent_again(book):
            sent = []
            source = Source.numbered(3)
            source.fail(ConnectionError("503"), at=2)
            cursor = source.consume(book, KEY, lambda event, _: sent.append(event.sequence))
            assert (sent, cursor.last_sequence) == ([1, 2, 3], 3)
            assert book.find(KEY).version == 4

        def test_every_test_has_a_book_of_its_own(book):
            assert list(book.cursors()) == []

        def test_the_clock_moves_when_it_is_told(book, ledger_clock):
            before = book.advance(KEY, to=1).updated_at
            assert book.advance(KEY, to=2).updated_at == before
            ledger_clock.tick(90)
            assert (book.advance(KEY, to=3).updated_at - before).total_seconds() == 90

        def test_a_story_in_one_line(story, book):
            told = story("advance 5; reset 2 by ines: lost; error HTTP 503; advance 7 skipped")
            assert [entry.version for entry in told.entries] == [1, 2, 3, 4]
            assert told.entries[1].actor == "ines"
            assert told.cursor == book.get(told.key)
            assert (told.cursor.last_sequence, told.cursor.epoch) == (7, 1)

        def test_a_story_takes_its_time(story, ledger_clock):
            first = story("advance 5", key=ledger.CursorKey("mailer", "jobs"))
            told = story("advance 5; wait 2h; advance 6")
            assert (told.cursor.updated_at - first.cursor.updated_at).total_seconds() == 7200
            assert ledger_clock.now == told.cursor.updated_at
        """,
    )
    done.assert_outcomes(passed=5)


def test_rows_and_cursor_are_committed_together_in_memory(project: pytest.Pytester) -> None:
    """The database of the application is overridden once, and is the ledger's."""
    project.makeconftest(
        """
        import sqlite3
        import pytest

        @pytest.fixture
        def db():
            connection = sqlite3.connect(":memory:")
            connection.execute("CREATE TABLE sent (id TEXT PRIMARY KEY)")
            yield connection
            connection.close()

        @pytest.fixture
        def ledger_connection(db):
            return db
        """
    )
    done = run(
        project,
        """
        import ledger
        import pytest

        KEY = ledger.CursorKey("mailer", "orders")

        def send(book, db, sequence, fails=False):
            with db:
                db.execute("INSERT INTO sent VALUES (?)", (f"msg-{sequence}",))
                book.using(db).advance(KEY, to=sequence)
                if fails:
                    raise ConnectionError("503")

        def test_both_or_none(book, db):
            send(book, db, 1)
            with pytest.raises(ConnectionError):
                send(book, db, 2, fails=True)
            assert book.get(KEY).last_sequence == 1
            assert db.execute("SELECT id FROM sent").fetchall() == [("msg-1",)]
            assert book.verify().ok
        """,
    )
    done.assert_outcomes(passed=1)


@pytest.mark.slow("each runs the tests of a project of its own")
def test_a_fixture_of_the_project_takes_the_place_of_the_plugins(project: pytest.Pytester) -> None:
    done = run(
        project,
        """
        import ledger
        import pytest

        @pytest.fixture
        def book(tmp_path):
            with ledger.open(tmp_path / "cursors.db", actor="mine") as book:
                yield book

        def test_a_file(book, story, tmp_path):
            told = story("advance 5")
            assert told.entries[0].actor == "mine"
            assert (tmp_path / "cursors.db").exists()
        """,
    )
    done.assert_outcomes(passed=1)


def test_a_book_of_another_kind_is_no_riddle(project: pytest.Pytester) -> None:
    """A shop has books, too."""
    done = run(
        project,
        """
        import pytest

        @pytest.fixture
        def book():
            return {"title": "Middlemarch"}

        def test_a_book(book):
            assert book["title"]

        def test_a_story(story):
            story("advance 5")
        """,
    )
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*InvalidCursorError: book must be a Ledger, not a dict*"])


ASYNCHRONOUS = """
    import asyncio
    import ledger
    import pytest
    from ledger.testing import Source

    KEY = ledger.CursorKey("mailer", "orders")

    async def body(abook, book, story):
        story("advance 2")
        source = Source.numbered(5)
        async def deliver(event, delivery):
            await asyncio.sleep(0)
        cursor = await source.aconsume(abook, KEY, deliver, in_flight=2)
        assert cursor.last_sequence == 5
        assert source.delivered[0] in (3, 4)
        assert book.get(KEY) == cursor == await abook.get(KEY)
        assert [entry.version async for entry in abook.history(KEY)] == [1, 2, 3, 4]
"""


def test_a_book_for_coroutines_needs_no_other_plugin(project: pytest.Pytester) -> None:
    done = run(
        project,
        ASYNCHRONOUS
        + """
    def test_it(abook, book, story):
        asyncio.run(body(abook, book, story))
        """,
    )
    done.assert_outcomes(passed=1)


@pytest.mark.slow("each runs the tests of a project of its own")
@pytest.mark.parametrize("plugin", OTHERS)
def test_a_book_for_coroutines_works_with_the_plugins_for_them(
    project: pytest.Pytester, plugin: str
) -> None:
    pytest.importorskip(OTHERS[plugin], reason=f"{OTHERS[plugin]} is not installed")
    scope = "asyncio_default_fixture_loop_scope = function\n" if plugin == "asyncio" else ""
    project.makeini(f"[pytest]\nfilterwarnings = error\n{scope}")
    done = run(
        project,
        ASYNCHRONOUS
        + f"""
    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    @pytest.mark.{plugin}
    async def test_it(abook, book, story):
        await body(abook, book, story)

    @pytest.mark.{plugin}
    async def test_it_can_be_closed(abook):
        await abook.close()
        """,
        with_plugin=plugin,
    )
    done.assert_outcomes(passed=2)


def test_a_run_that_uses_none_of_it_imports_none_of_it(project: pytest.Pytester) -> None:
    """Every run of pytest pays for its plugins; what measures coverage must not see them."""
    done = run(
        project,
        """
        import sys

        def test_nothing():
            assert "pytest_cursor_ledger" in sys.modules
            loaded = {name.split(".")[0] for name in sys.modules}
            assert not loaded & {"ledger", "projections", "attrs", "sqlite3"}

        def test_something(book):
            assert "ledger" in sys.modules
        """,
    )
    done.assert_outcomes(passed=2)


def test_its_fixtures_say_what_they_are(project: pytest.Pytester) -> None:
    shown = project.runpytest_subprocess(*NAMED, *without(OTHERS), "--fixtures").stdout.str()
    for name in ("book", "abook", "story", "ledger_clock", "ledger_connection"):
        assert f"\n{name} -- " in shown
