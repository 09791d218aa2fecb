"""The real ssh-keygen tells whose key has signed a text."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ledger import (
    AllowedSigners,
    InvalidCursorError,
    SignatureState,
    SignedBy,
    SshSignature,
    StorageError,
    UnprovenError,
)
from support.ssh_keys import Keys, needs_ssh

pytestmark = needs_ssh

AT = datetime(2026, 5, 5, 16, tzinfo=UTC)
TEXT = b"cursor-ledger reset plan v1\n"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    keys = Keys(tmp_path)
    keys.new("ines")
    return keys


@pytest.fixture
def signature(keys: Keys) -> SshSignature:
    return SshSignature.by(keys.folder / "ines", TEXT)


@pytest.mark.slow("it makes keys of each kind")
@pytest.mark.parametrize(
    "kind", [("ed25519",), ("ecdsa", "-b", "384"), ("rsa", "-b", "3072")], ids=lambda kind: kind[0]
)
def test_a_key_of_each_kind_signs_and_is_known(tmp_path: Path, kind: tuple[str, ...]) -> None:
    keys = Keys(tmp_path)
    file = keys.new("omar", *kind)
    signature = SshSignature.by(file, TEXT)
    found = keys.trusting("omar").judge(TEXT, signature, AT)
    assert found == SignedBy(
        state=SignatureState.SIGNED, signer="omar@example.com", key=signature.fingerprint
    )
    shown = subprocess.run(["ssh-keygen", "-lf", file], capture_output=True, text=True, check=True)
    assert shown.stdout.split()[1] == signature.fingerprint
    assert SshSignature.parse(signature.armored) == signature
    assert len(signature.base64) < 1_300


def test_another_text_is_bad_whoever_has_signed(keys: Keys, signature: SshSignature) -> None:
    keys.new("eve")
    for signers in (keys.trusting("ines"), keys.trusting("eve"), keys.trusting()):
        found = signers.judge(TEXT + b"x", signature, AT)
        assert found.state is SignatureState.BAD
        assert "not of this text" in found.why
    with pytest.raises(UnprovenError, match="the signature does not hold"):
        signature.check(TEXT + b"x")
    signature.check(TEXT)


def test_a_key_that_is_not_in_the_file_is_unknown(keys: Keys, signature: SshSignature) -> None:
    keys.new("eve")
    found = keys.trusting("eve").judge(TEXT, signature, AT)
    assert found.state is SignatureState.UNKNOWN
    assert found.signer == ""
    assert found.why == "the key is not among the allowed signers"
    assert found.key == signature.fingerprint


def test_a_line_that_is_no_key_is_said(keys: Keys, signature: SshSignature) -> None:
    file = keys.allowed("ines@example.com ssh-ed25519\n")
    found = AllowedSigners(file).judge(TEXT, signature, AT)
    assert found.state is SignatureState.UNKNOWN
    assert found.why.startswith(f"the key is not among the allowed signers ({file}:1: ")


@pytest.mark.parametrize(
    ("options", "state"),
    [
        ('valid-after="20260505155959Z"', SignatureState.SIGNED),
        ('valid-after="20260505160001Z"', SignatureState.UNKNOWN),
        ('valid-before="20260505160001Z"', SignatureState.SIGNED),
        ('valid-before="20260505155959Z"', SignatureState.UNKNOWN),
        ('namespaces="cursor-ledger"', SignatureState.SIGNED),
        ('namespaces="git,file"', SignatureState.UNKNOWN),
    ],
)
def test_a_key_counts_for_its_time_and_its_namespaces(
    keys: Keys, signature: SshSignature, options: str, state: SignatureState
) -> None:
    signers = AllowedSigners(keys.allowed(keys.line("ines", options)))
    found = signers.judge(TEXT, signature, AT)
    assert found.state is state
    if "valid" in options and state is SignatureState.UNKNOWN:
        assert found.why == "the key was not valid at the time of the reset"


def test_only_the_principals_that_were_asked_for_count(keys: Keys, signature: SshSignature) -> None:
    file = keys.allowed(keys.line("ines", principal="ines@example.com,ines@work.example"))
    for principal, state in (
        ("ines@work.example", SignatureState.SIGNED),
        ("omar@example.com", SignatureState.UNKNOWN),
    ):
        found = AllowedSigners(file, principals=[principal]).judge(TEXT, signature, AT)
        assert found.state is state
        assert found.signer == (principal if state is SignatureState.SIGNED else "")
    with pytest.raises(InvalidCursorError, match="must be a list of texts"):
        AllowedSigners(file, principals="ines@work.example")
    both = AllowedSigners(file, principals=["omar@example.com", "ines@work.example"])
    assert both.judge(TEXT, signature, AT).signer == "ines@work.example"


def test_a_revoked_key_is_bad(keys: Keys, signature: SshSignature) -> None:
    file, public = keys.allowed(keys.line("ines")), keys.folder / "ines.pub"
    krl = keys.folder / "krl"
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", krl, public], check=True)
    for revoked in (public, krl):
        found = AllowedSigners(file, revoked=str(revoked)).judge(TEXT, signature, AT)
        assert (found.state, found.why) == (SignatureState.BAD, "the key is revoked")
    other = keys.new("eve").with_suffix(".pub")
    found = AllowedSigners(file, revoked=str(other)).judge(TEXT, signature, AT)
    assert found.state is SignatureState.SIGNED


def test_a_certificate_is_known_by_the_key_in_it(keys: Keys) -> None:
    keys.new("authority")
    subprocess.run(
        [
            *("ssh-keygen", "-q", "-s", keys.folder / "authority", "-I", "x"),
            *("-n", "ines@example.com", "-V", "20200101:20400101", keys.folder / "ines.pub"),
        ],
        check=True,
    )
    signature = SshSignature.by(keys.folder / "ines-cert.pub", TEXT)
    plain = SshSignature.by(keys.folder / "ines", TEXT)
    file = keys.allowed(keys.line("authority", "cert-authority", "*@example.com"))
    found = AllowedSigners(file, principals=["ines@example.com"]).judge(TEXT, signature, AT)
    assert found.state is SignatureState.SIGNED
    assert found.key == plain.fingerprint != signature.fingerprint


# --- signatures that are none ---


def test_a_signature_for_git_is_refused(keys: Keys) -> None:
    other = subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", keys.folder / "ines"],
        input=TEXT,
        capture_output=True,
        check=True,
    )
    with pytest.raises(UnprovenError, match="in the namespace 'git', not cursor-ledger"):
        SshSignature.parse(other.stdout)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("-----BEGIN", "-----BEGUN"), "does not begin with"),
        (lambda text: text.replace("-----END", "-----ENDE"), "does not end with"),
        (lambda text: text.replace("U1NI", "U1NJ"), "not of version 1"),
        (lambda text: re.sub(r"\n(\w)", r"\n.\1", text, count=1), "not base64"),
        (lambda text: text.replace("\n-----END", "AAAA\n-----END"), "has something behind it"),
        (lambda text: re.sub(r".{8}\n-----END", "\n-----END", text), "it was cut"),
        (lambda _: "", "does not begin"),
        (lambda text: text.replace("U1NI", "A" * 3_000 + "U1NI"), "at most 3,000"),
    ],
)
def test_what_is_no_signature_is_said(signature: SshSignature, change: object, said: str) -> None:
    assert callable(change)
    with pytest.raises(UnprovenError, match=said):
        SshSignature.parse(change(signature.armored))


def test_base64_has_one_form() -> None:
    parts = (b"key", b"cursor-ledger", b"", b"sha512", b"signature")
    strings = (len(part).to_bytes(4) + part for part in parts)
    whole = base64.b64encode(b"SSHSIG" + (1).to_bytes(4) + b"".join(strings)).decode()
    assert SshSignature(whole).base64 == whole
    assert whole.endswith("=")
    # The same bytes: the last character has bits that are not used.
    last = whole.rstrip("=")
    other = last[:-1] + chr(ord(last[-1]) + 1) + whole[len(last) :]
    assert base64.b64decode(other) == base64.b64decode(whole)
    with pytest.raises(UnprovenError, match="its base64 has another form"):
        SshSignature(other)


def test_what_was_judged_is_remembered_for_this_text_and_time_alone(
    keys: Keys, signature: SshSignature
) -> None:
    signers = AllowedSigners(keys.allowed(keys.line("ines", 'valid-after="20260505160000Z"')))
    for _ in range(2):
        assert signers.judge(TEXT, signature, AT).state is SignatureState.SIGNED
        assert signers.judge(TEXT + b"x", signature, AT).state is SignatureState.BAD
        before = signers.judge(TEXT, signature, AT - timedelta(seconds=1))
        assert before.state is SignatureState.UNKNOWN


def test_every_bit_of_a_signature_counts(keys: Keys, signature: SshSignature) -> None:
    blob, signers = base64.b64decode(signature.base64), keys.trusting("ines")
    for place in range(0, len(blob), 17):
        changed = bytearray(blob)
        changed[place] ^= 1
        try:
            other = SshSignature(base64.b64encode(bytes(changed)).decode())
        except UnprovenError:
            continue
        assert signers.judge(TEXT, other, AT).state is SignatureState.BAD


# --- what is missing ---


def test_a_file_that_is_not_there_is_said(keys: Keys) -> None:
    with pytest.raises(InvalidCursorError, match=r"there is no file '.*' of allowed signers"):
        AllowedSigners(str(keys.folder / "nowhere"))
    with pytest.raises(InvalidCursorError, match="of revoked keys"):
        AllowedSigners(keys.allowed(), revoked=str(keys.folder / "nowhere"))
    with pytest.raises(InvalidCursorError, match="there is no key"):
        SshSignature.by(keys.folder / "nowhere", TEXT)


def test_a_key_that_nobody_can_use_is_said(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "none"))
    (keys.folder / "ines").unlink()
    with pytest.raises(InvalidCursorError, match=r"has not signed with .*ssh-add -l lists it"):
        SshSignature.by(keys.folder / "ines.pub", TEXT)
    with pytest.raises(InvalidCursorError, match="the agent has no key"):
        SshSignature.by("agent", TEXT)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (None, r"ssh-keygen is not installed here.*Install OpenSSH 8\.9"),
        ("echo 'ssh-keygen: unknown option -- Y' >&2; exit 1", "is too old for signatures"),
        ("echo 'Invalid option \"verify-time=1\"' >&2; exit 255", "is too old for signatures"),
        ("echo 'Unsupported operation for -Y' >&2; exit 255", "is too old for signatures"),
    ],
)
def test_a_program_that_is_missing_or_too_old_is_said(
    keys: Keys,
    signature: SshSignature,
    monkeypatch: pytest.MonkeyPatch,
    program: str | None,
    said: str,
) -> None:
    signers, folder = keys.trusting("ines"), keys.folder / "bin"
    folder.mkdir()
    if program is not None:
        (folder / "ssh-keygen").write_text(f"#!/bin/sh\n{program}\n")
        (folder / "ssh-keygen").chmod(0o700)
    monkeypatch.setenv("PATH", str(folder))
    for attempt in (
        lambda: SshSignature.by(keys.folder / "ines", TEXT),
        lambda: signers.judge(TEXT, signature, AT),
        lambda: signature.check(TEXT),
    ):
        with pytest.raises(StorageError, match=said):
            attempt()


# --- the agent ---


@pytest.fixture
def agent(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keys]:
    """Return keys whose private half only an agent has."""
    socket = keys.folder / "socket"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", keys.folder / "ines"], check=True)
        (keys.folder / "ines").unlink()
        yield keys
        process.terminate()


def test_an_agent_signs_with_a_key_that_is_named_or_the_only_one(agent: Keys) -> None:
    signers = agent.trusting("ines")
    for key in (agent.folder / "ines.pub", "agent"):
        signature = SshSignature.by(key, TEXT)
        assert signers.judge(TEXT, signature, AT).signer == "ines@example.com"
    subprocess.run(["ssh-add", "-q", agent.new("omar")], check=True, env=os.environ)
    with pytest.raises(InvalidCursorError, match="the agent has 2 keys, and one is needed"):
        SshSignature.by("agent", TEXT)


def test_a_file_that_has_no_revoked_keys_is_said_to_have_none(
    keys: Keys, signature: SshSignature
) -> None:
    file = keys.allowed(keys.line("ines"))
    none = keys.folder / "no-keys"
    none.write_text("ines@example.com\n")
    with pytest.raises(InvalidCursorError, match="has no revoked keys that ssh-keygen can read"):
        AllowedSigners(file, revoked=str(none)).judge(TEXT, signature, AT)
    none.write_text("")
    found = AllowedSigners(file, revoked=str(none)).judge(TEXT, signature, AT)
    assert found.state is SignatureState.SIGNED


def test_without_room_for_a_temporary_file_it_is_said_so(
    keys: Keys, signature: SshSignature, monkeypatch: pytest.MonkeyPatch
) -> None:
    signers = keys.trusting("ines")
    monkeypatch.setattr(tempfile, "tempdir", str(keys.folder / "nowhere"))
    with pytest.raises(StorageError, match="set TMPDIR"):
        signers.judge(TEXT, signature, AT)
