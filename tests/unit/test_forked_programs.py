"""A program that tests fork is what it would be as a new process, whoever starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.preloaded import programs

PYTHON = programs() / "python"

SAME = {
    "words, place and variables": "import os, sys; print(sys.argv, os.getcwd(), os.environ['A'])",
    "what is typed": "import sys; print(sys.stdin.read(), sys.stdin.isatty(), sys.stdin.encoding)",
    "a module of its own": "x = 1; import __main__; print(__name__, __main__.x, 'json' in dir())",
    "an exit code": "import sys; sys.exit(3)",
    "a sentence as exit code": "import sys; sys.exit('it is wrong')",
    "an interrupt": "raise KeyboardInterrupt",
    "a signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "a kill": "import os, signal; print(1, flush=True); os.kill(os.getpid(), signal.SIGKILL)",
    "what is done at the end": "import atexit; atexit.register(print, 'over'); print('on')",
    "what threads go on with": "import threading; threading.Timer(0.1, print, ['late']).start()",
    "both outputs": "import sys; print('out'); print('err', file=sys.stderr); 1 / 0",
    "how files are made": "import os; print(os.umask(0))",
    "what is imported from here": "import beside; print(beside.__file__)",
    "signals": "import signal; print([signal.getsignal(n) for n in (2, 13, 15, 17, 1)])",
    "warnings": "import warnings; warnings.warn('beware', stacklevel=1)",
}


def told(python: Path | str, words: list[str], folder: Path, **more: str) -> tuple[object, ...]:
    done = subprocess.run(
        [python, *words],
        cwd=folder,
        env={**os.environ, "A": "b", "PYTHONWARNINGS": "default", **more},
        input="typed",
        capture_output=True,
        text=True,
        check=False,
        umask=0o027,
    )
    # Where it was raised has another path; what was raised and how it ended are the same.
    return done.returncode, done.stdout, done.stderr.splitlines()[-1:]


@pytest.mark.parametrize("what", SAME)
def test_it_says_and_ends_as_a_new_process_does(tmp_path: Path, what: str) -> None:
    (tmp_path / "beside.py").write_text("")
    words = ["-c", SAME[what], "one", "two words"]
    assert told(PYTHON, words, tmp_path) == told(sys.executable, words, tmp_path)


@pytest.mark.parametrize("words", [["it.py", "1"], ["-m", "it", "1"], ["-V"], ["-I", "-c", "1/0"]])
def test_it_may_be_a_file_a_module_or_what_only_an_interpreter_can(
    tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "it.py").write_text("import sys; print(__name__, sys.argv[1:], __file__)")
    assert told(PYTHON, words, tmp_path) == told(sys.executable, words, tmp_path)


def test_streams_that_are_closed_stay_closed(tmp_path: Path) -> None:
    script = "import sys; sys.exit(f'{sys.stdin} {sys.stdout}')"
    said = [
        subprocess.run(
            ["sh", "-c", '"$@" <&- >&-', "sh", python, "-c", script],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        ).stderr
        for python in (PYTHON, sys.executable)
    ]
    assert said[0] == said[1] == "None None\n"


def test_what_it_leaves_open_is_told() -> None:
    script = "x = open('/dev/null'); y = [x]; y.append(y)"
    command: list[str | Path] = [PYTHON, "-c", script]
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "ResourceWarning: unclosed file" in done.stderr


WAITS = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(60)"


def test_an_interrupt_reaches_it() -> None:
    with subprocess.Popen([PYTHON, "-c", WAITS], stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate(timeout=30)[1]
    assert process.returncode == -signal.SIGINT


def test_it_ends_with_who_started_it() -> None:
    with subprocess.Popen([PYTHON, "-c", WAITS], stdout=-1, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    until = time.monotonic() + 20
    while is_there(pid):
        assert time.monotonic() < until
        time.sleep(0.02)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
