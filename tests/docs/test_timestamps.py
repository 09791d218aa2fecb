"""The commands for timestamps in docs/evidence.md, with an authority of our own behind `curl`."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.places import TOP

AUTHORITY = """
[tsa]
default_tsa = own
[own]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""
CURL = """#!/bin/sh
while [ $# -gt 1 ]; do
    [ "$1" = --data-binary ] && query=${2#@}
    shift
done
exec openssl ts -reply -queryfile "$query" -config tsa.cnf
"""

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tsa.cnf").write_text(AUTHORITY)
    (tmp_path / "serial").write_text("01\n")
    (tmp_path / "curl").write_text(CURL)
    (tmp_path / "curl").chmod(0o755)
    request = "req -x509 -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.pem -subj /CN=own"
    usage = "extendedKeyUsage=critical,timeStamping"
    subprocess.run(
        ["openssl", *request.split(), "-days", "30", "-addext", usage],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    (tmp_path / "tuesday.note").write_text("example.com/orders\n3\n")
    return tmp_path


def run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-ec", f"PATH=.:$PATH\n{script}"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_timestamp_of_a_checkpoint_is_asked_for_and_verified(folder: Path) -> None:
    text = (TOP / "docs/evidence.md").read_text("utf-8")
    [script] = re.findall(r"^```sh\n(openssl ts .*?)^```$", text, re.MULTILINE | re.DOTALL)
    done = run(folder, script)
    assert done.returncode == 0, done.stderr
    assert "Verification: OK" in done.stdout + done.stderr
    (folder / "tuesday.note").write_text("example.com/orders\n4\n")
    refused = run(folder, script.splitlines()[-1])
    assert refused.returncode != 0
    assert "Verification: FAILED" in refused.stdout + refused.stderr
