"""The project of docs/django.md, made of nothing but the page, and served as the page says."""

from __future__ import annotations

import http.cookiejar
import os
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from support.django_projects import files_of
from support.places import TOP
from support.serving import WAIT_S, answers, free_port, until

PAGE = (TOP / "docs" / "django.md").read_text("utf-8")
BEHIND = r"(.*?)^```$"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n{BEHIND}", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow("a real server, which starts itself again")
def test_the_admin_of_the_page_is_served_and_shows_the_log(tmp_path: Path) -> None:
    for name, code in files_of("django.md").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code, "utf-8")
    typed = [
        line[2:] for text in blocks("console") for line in text.splitlines() if line[:2] == "$ "
    ]
    # test_documents runs the tests of the page.
    made = [line for line in typed if "manage.py test" not in line]
    assert len(made) == len(typed) - 1
    [served] = blocks("sh")
    port = free_port()
    script = "\n".join(["set -e", *made, served.replace("runserver 8000", f"runserver {port}")])
    environ = {
        **os.environ,
        "PYTHONPATH": str(TOP),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environ,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until(lambda: answers(port) or server.poll() is not None)
        assert server.poll() is None, (tmp_path / "log").read_text("utf-8")
        look_around(port)
    finally:
        # Its reloader is a process of its own.
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(WAIT_S)


def look_around(port: int) -> None:
    """Log in as the page says, and look at the log, and at a style sheet."""
    at = f"http://127.0.0.1:{port}/"
    opener = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    )

    def page(path: str, form: dict[str, str] | None = None) -> str:
        data = urllib.parse.urlencode(form).encode() if form else None
        with opener.open(at + path, data, timeout=WAIT_S) as answer:
            return str(answer.read().decode())

    [token] = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', page("admin/login/"))
    form = {"username": "ines", "password": "only for this page", "csrfmiddlewaretoken": token}
    assert "Entries" in page("admin/login/?next=/admin/", form)
    entries = page("admin/cursor_ledger/entry/")
    assert "mailer" in entries
    assert "1 entry" in entries
    assert "body" in page("static/admin/css/base.css")
