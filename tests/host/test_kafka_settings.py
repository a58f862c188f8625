"""How settings say that we come to Kafka: what does not fit together, and files that cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.host.files import FileTrouble
from services.host.kafka_settings import access_of
from services.host.settings import Bad, ServiceSettings, load
from services.journal.kafka_access import PLAIN_TEXT
from services.router.settings import RouterSettings

P = "THROUGHLINE_KAFKA_"
PROTOCOL, CA, CERTIFICATE, KEY, USER, PASSWORD, MECHANISM = (
    f"{P}{each}"
    for each in ("PROTOCOL", "CA_FILE", "CERTIFICATE_FILE", "KEY_FILE", "USER", "PASSWORD_FILE", "MECHANISM")
)
BY_SASL = "which does not use it: leave it out, or set the protocol to SASL_SSL"
SECRET = "sesame"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours from outside."""
    for name in [name for name in os.environ if name.startswith("THROUGHLINE_")]:
        monkeypatch.delenv(name)


def set_all(monkeypatch: pytest.MonkeyPatch, *settings: tuple[str, str | Path]) -> None:
    for name, value in settings:
        monkeypatch.setenv(name, str(value))


def test_nothing_set_is_plain_text_and_nameless() -> None:
    """For a Kafka on one's own machine."""
    assert access_of(load(ServiceSettings)) == PLAIN_TEXT


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ([(USER, "firewall")], f"{USER} is set, and {PROTOCOL} is PLAINTEXT, {BY_SASL}"),
        (
            [(CA, "ca.pem")],
            f"{CA} is set, and {PROTOCOL} is PLAINTEXT, which does not use it: leave it out, or set the protocol to "
            "SSL or SASL_SSL",
        ),
        ([(PROTOCOL, "SSL"), (USER, "firewall")], f"{USER} is set, and {PROTOCOL} is SSL, {BY_SASL}"),
        ([(MECHANISM, "SCRAM-SHA-512")], f"{MECHANISM} is set, and {PROTOCOL} is PLAINTEXT, {BY_SASL}"),
        ([(PROTOCOL, "SSL"), (MECHANISM, "PLAIN")], f"{MECHANISM} is set, and {PROTOCOL} is SSL, {BY_SASL}"),
        (
            [(PROTOCOL, "SSL"), (KEY, "key.pem")],
            f"{PROTOCOL} is SSL, and {CERTIFICATE} is not set: set it, or leave {KEY} out",
        ),
        (
            [(PROTOCOL, "SSL"), (CERTIFICATE, "firewall.pem")],
            f"{PROTOCOL} is SSL, and {KEY} is not set: set it, or leave {CERTIFICATE} out",
        ),
        (
            [(PROTOCOL, "SASL_SSL")],
            f"{PROTOCOL} is SASL_SSL, and {USER} is not set: set it, or leave the protocol out",
        ),
        (
            [(PROTOCOL, "SASL_SSL"), (USER, "firewall")],
            f"{PROTOCOL} is SASL_SSL, and {PASSWORD} is not set: set it, or leave the protocol out",
        ),
        (
            [(PROTOCOL, "SASL_SSL"), (USER, "firewall"), (PASSWORD, "password"), (KEY, "key.pem")],
            f"{KEY} is set, and {PROTOCOL} is SASL_SSL, {BY_SASL.replace('SASL_', '')}",
        ),
        ([(PROTOCOL, "SASL_PLAINTEXT")], f"{PROTOCOL}: String should match pattern"),
        ([(MECHANISM, "GSSAPI")], f"{MECHANISM}: String should match pattern"),
    ],
)
def test_what_does_not_fit_together_is_one_line(
    monkeypatch: pytest.MonkeyPatch, settings: list[tuple[str, str]], why: str
) -> None:
    """A name that nothing shows, and a file that nothing reads, would pass for protection."""
    set_all(monkeypatch, *settings)
    with pytest.raises(Bad) as bad:
        load(ServiceSettings)
    assert len(bad.value.lines) == 1
    assert bad.value.lines[0].startswith(why)


@pytest.mark.parametrize(
    ("user", "why"),
    [
        (f"{P}USER", "THROUGHLINE_KAFKA_USER is set, and THROUGHLINE_KAFKA_PROTOCOL is SSL"),
        (
            "THROUGHLINE_ROUTER_KAFKA_USER",
            "THROUGHLINE_ROUTER_KAFKA_USER is set, and THROUGHLINE_KAFKA_PROTOCOL is SSL",
        ),
    ],
)
def test_of_two_variables_the_one_that_is_set_is_named(monkeypatch: pytest.MonkeyPatch, user: str, why: str) -> None:
    """Whoever reads it looks for that one."""
    set_all(monkeypatch, (PROTOCOL, "SSL"), (user, "router"))
    with pytest.raises(Bad, match=f"^{why}, "):
        load(RouterSettings)


def test_where_neither_is_set_the_services_own_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is a service's own."""
    set_all(monkeypatch, (PROTOCOL, "SASL_SSL"))
    with pytest.raises(Bad, match=r"and THROUGHLINE_ROUTER_KAFKA_USER is not set"):
        load(RouterSettings)


def test_a_password_is_a_files_one_line_and_is_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file's last newline does not belong to it."""
    (tmp_path / "password").write_text(f"{SECRET}\n")
    set_all(monkeypatch, (PROTOCOL, "SASL_SSL"), (USER, "firewall"), (PASSWORD, tmp_path / "password"))
    access = access_of(load(ServiceSettings))
    assert access.client_options()["sasl_plain_password"] == SECRET
    assert access.client_options()["sasl_mechanism"] == "SCRAM-SHA-512"
    assert str(access) == "SASL_SSL as firewall"
    assert SECRET not in repr(access)


@pytest.mark.parametrize("written", [None, "", "\n", f"{SECRET}\nmore\n", "\udcff"])
def test_a_password_file_that_cannot_be_used_is_told_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str | None
) -> None:
    """Not there, empty, more than one line, no text. What is in it is not told."""
    if written is not None:
        (tmp_path / "password").write_bytes(written.encode(errors="surrogateescape"))
    set_all(monkeypatch, (PROTOCOL, "SASL_SSL"), (USER, "firewall"), (PASSWORD, tmp_path / "password"))
    with pytest.raises(FileTrouble, match=rf"cannot use .*password: .*; is {PASSWORD} right\?") as trouble:
        access_of(load(ServiceSettings))
    assert SECRET not in str(trouble.value)


@pytest.mark.parametrize("wrong", [CA, CERTIFICATE, KEY])
def test_a_certificate_that_cannot_be_used_is_told_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: str
) -> None:
    """Missing here; what the ssl library says of files that are there is told in the same way."""
    pem = tmp_path / "any.pem"
    pem.write_text("")
    own = () if wrong == CA else ((CERTIFICATE, pem), (KEY, pem))
    set_all(monkeypatch, (PROTOCOL, "SSL"), *own, (wrong, tmp_path / "nowhere.pem"))
    with pytest.raises(FileTrouble, match=rf"nowhere\.pem: No such file or directory; is {wrong} right\?"):
        access_of(load(ServiceSettings))


def test_files_that_are_no_certificates_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In one line."""
    pem = tmp_path / "any.pem"
    pem.write_text("no certificate")
    set_all(monkeypatch, (PROTOCOL, "SSL"), (CERTIFICATE, pem), (KEY, pem))
    with pytest.raises(FileTrouble, match=rf"^cannot use .*any\.pem: .*; is {CERTIFICATE} right\?$"):
        access_of(load(ServiceSettings))


@pytest.mark.parametrize(("words", "prefix"), [("run router", "throughline router: "), ("balance", "")])
@pytest.mark.parametrize(("user", "code"), [("", 64), ("firewall", 66)])
def test_neither_a_service_nor_a_command_starts_with_what_cannot_be_used(
    words: str, prefix: str, user: str, code: int, tmp_path: Path
) -> None:
    """64 settings, 66 a file: one line, and no traceback."""
    set_ = {PROTOCOL: "SASL_SSL", PASSWORD: str(tmp_path / "nowhere")} | ({USER: user} if user else {})
    ended = subprocess.run(
        [sys.executable, "-m", "services.cli", *words.split()],
        env={**os.environ, **set_}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == code, ended
    assert ended.stderr.startswith(prefix)
    assert len(ended.stderr.splitlines()) == 1
