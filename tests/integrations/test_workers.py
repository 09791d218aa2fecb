"""The recipes of docs/processes.md, under the servers that they are written for."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ledger
from support.environments import environment
from support.places import TOP
from support.serving import WAIT_S, answers, free_port, served, until

pytest.importorskip("gunicorn", reason="gunicorn is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")

STORES = "every"

WORKERS = 3
CALLS = 90


def recipe(marker: str) -> str:
    """Return the block of the guide that has `marker` in it."""
    text = (TOP / "docs" / "processes.md").read_text("utf-8")
    blocks = re.findall(r"^```py(?:thon)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    [found] = [block for block in blocks if marker in block]
    return str(found)


def ask(port: int, n: int, consumer: str = "consumer") -> str:
    """Confirm the token of call `n`; return the worker that did so."""
    url = f"http://127.0.0.1:{port}/{consumer}-{n}?token-{n}"
    with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
        worker, sequence = answer.read().split()
    assert sequence == b"1"
    return str(worker)


def asked_by_many(port: int) -> set[str]:
    """Make all calls, and more of them until a second worker, which may start late, answers."""
    until(lambda: answers(port))
    with ThreadPoolExecutor(6) as threads:
        workers = set(threads.map(lambda n: ask(port, n), range(CALLS)))
        late = itertools.count(0, 6)

        def another_answers() -> bool:
            if len(workers) == 1:
                first = next(late)
                asked = threads.map(lambda n: ask(port, n, "late"), range(first, first + 6))
                workers.update(asked)
            return len(workers) > 1

        until(another_answers)
    return workers


def asked_as_on_the_page(port: int, consumer: str) -> None:
    """Ask what the guide asks, and compare the answers, except the numbers of processes."""
    text = (TOP / "docs" / "processes.md").read_text("utf-8")
    found = re.findall(
        rf"^curl '(http://127.0.0.1:8000/{consumer}\S*)' +# (.+)$", text, re.MULTILINE
    )
    assert len(found) > 1
    for url, answer in found:
        try:
            with urllib.request.urlopen(url.replace("8000", str(port)), timeout=WAIT_S) as given:
                said = given.read().decode()
        except urllib.error.HTTPError as error:
            assert error.code == 400
            said = error.read().decode()
        assert re.sub(r"^\d+", "N", said.rstrip()) == re.sub(r"^\d+", "N", answer)


def check(target: str, actor: str) -> None:
    with ledger.open(target) as book:
        cursors = [each for each in book.cursors() if each.key.consumer_id.startswith("consumer-")]
        assert [cursor.last_delivery_id.partition("-")[0] for cursor in cursors] == [
            "token"
        ] * CALLS
        assert {entry.actor for entry in book.entries()} == {actor}
        assert book.verify().ok


@pytest.mark.slow("a real server, or workers of one, are killed")
@pytest.mark.parametrize(
    "preload",
    [
        pytest.param([], id="each-imports", marks=pytest.mark.slow("a real server")),
        pytest.param(["--preload"], id="preload"),
    ],
)
def test_workers_of_gunicorn_open_it_each_for_itself(
    target: str, tmp_path: Path, preload: list[str]
) -> None:
    # The master uses it as well, before it forks.
    used = "\nbook.find(ledger.CursorKey('master', 'orders'))\n"
    (tmp_path / "web.py").write_text(recipe("def application(environ") + used, "utf-8")
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--workers", str(WORKERS), *preload]
    command += ["--bind", f"127.0.0.1:{port}", "web:application"]
    with served(command, tmp_path, LEDGER=target) as server:
        workers = asked_by_many(port)
        asked_as_on_the_page(port, "mailer")
    assert server.returncode == 0
    assert len(workers) > 1
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")
    check(target, "web")


def test_a_module_that_opens_it_under_preload_is_told_what_to_write(
    path: Path, tmp_path: Path
) -> None:
    code = recipe("def application(environ").replace("ledger.lazy", "ledger.open")
    (tmp_path / "web.py").write_text(code, "utf-8")
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--workers", "1", "--preload"]
    command += ["--bind", f"127.0.0.1:{port}", "web:application"]
    with served(command, tmp_path, LEDGER=str(path)):
        until(lambda: answers(port))
        with pytest.raises(urllib.error.HTTPError, match="500"):
            ask(port, 1)
    log = (tmp_path / "log").read_text("utf-8")
    assert "write ledger.lazy(…) in place of ledger.open(…)" in log


@pytest.mark.slow("a real server, whose workers are interpreters of their own")
def test_workers_of_uvicorn_open_it_each_for_itself(target: str, tmp_path: Path) -> None:
    (tmp_path / "api.py").write_text(recipe("async def application(scope"), "utf-8")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--workers", str(WORKERS)]
    command += ["--port", str(port), "api:application"]
    with served(command, tmp_path, LEDGER=target):
        workers = asked_by_many(port)
        asked_as_on_the_page(port, "printer")
    assert len(workers) > 1
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")
    check(target, "api")


@pytest.mark.slow("an environment with Celery is made, out of wheels of the network")
def test_children_of_celery_open_it_each_for_itself(target: str, tmp_path: Path) -> None:
    python = environment("celery", "celery>=5.4", "psycopg[binary,pool]")
    (tmp_path / "tasks.py").write_text(recipe("@app.task"), "utf-8")
    more = {"LEDGER": target, "C_FORCE_ROOT": "1"}
    [as_on_the_page] = re.findall(
        r"^python -c '(import tasks; .+)'$",
        (TOP / "docs" / "processes.md").read_text("utf-8"),
        re.MULTILINE,
    )
    send = "import tasks\nfor n in range(90): tasks.send.delay(f'consumer-{n % 9}-{n}', n + 1)"
    command = [str(python), "-m", "celery", "--app", "tasks", "worker", "--concurrency", "3"]
    command += ["--without-mingle", "--without-gossip", "--without-heartbeat"]

    def send_by(script: str) -> None:
        subprocess.run(
            [python, "-c", script],
            check=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{TOP}", **more},
        )

    with ledger.open(target) as book, served(command, tmp_path, **more):
        send_by(send)
        send_by(as_on_the_page)
        until(lambda: sum(1 for _ in book.cursors()) == CALLS + 2)
        late = itertools.count(CALLS, 9)

        def another_works() -> bool:
            # A child that starts late finds nothing left to do.
            if len(workers := {entry.metadata["worker"] for entry in book.entries()}) == 1:
                first = next(late)
                send_by(send.replace("range(90)", f"range({first}, {first + 9})"))
            return len(workers) > 1

        until(another_works)
        assert book.verify().ok
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")


NOTEBOOK = """
import sys
import nbclient, nbformat
from nbformat.v4 import new_code_cell, new_notebook
cells = [new_code_cell(code) for code in sys.argv[1:]]
book = new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "P"}})
nbclient.NotebookClient(book, timeout=60).execute()
for cell in cells:
    print([output["data"]["text/plain"] for output in cell.outputs if "data" in output])
"""


@pytest.mark.slow("an environment with a kernel of Jupyter is made, out of wheels of the network")
def test_cells_of_a_notebook_are_run_again_and_awaited(target: str, tmp_path: Path) -> None:
    python = environment("notebook", "ipykernel", "nbclient", "psycopg[binary,pool]")
    cell = recipe("[cursor.last_sequence for cursor in book.cursors()]").replace(
        '"cursors.db"', repr(target)
    )
    # A kernel runs a loop of its own, in which cells await.
    awaited = cell.replace("import ledger", "import ledger.aio").replace(
        "ledger.lazy", "ledger.aio.lazy"
    )
    awaited = awaited.replace("for cursor", "async for cursor")
    append = "(await book.advance(ledger.CursorKey('mailer', 'orders'), to=42)).version"
    with ledger.open(target) as book:
        book.advance(ledger.CursorKey("mailer", "orders"), to=41)
        done = subprocess.run(
            [python, "-c", NOTEBOOK, cell, cell, awaited, append, awaited],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(TOP), "JUPYTER_PREFER_ENV_PATH": "1"},
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split("\n")[:5] == ["['[41]']"] * 3 + ["['2']", "['[42]']"]
        assert [entry.actor for entry in book.entries()] == ["", "ines"]
        assert book.verify().ok


def test_each_program_of_the_guide_runs_alone(tmp_path: Path) -> None:
    text = (TOP / "docs" / "processes.md").read_text("utf-8")
    programs = re.findall(
        r"^```python\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", text, re.MULTILINE | re.DOTALL
    )
    assert len(programs) == 5
    for number, (code, output) in enumerate(programs):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "program.py").write_text(code, "utf-8")
        done = subprocess.run(
            [sys.executable, "program.py"],
            check=False,
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(TOP)},
        )
        assert (done.stderr, done.returncode, done.stdout) == ("", 0, output)
