"""How settings say that we come to Kafka, with the files read that they name: once, at the start."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import typer

from services.host.exits import EXIT_FILE, EXIT_SETTINGS
from services.host.files import FileTrouble
from services.host.settings import Bad, ServiceSettings, load
from services.journal.kafka_access import PLAIN_TEXT, Access

T = TypeVar("T")


def access_of(settings: ServiceSettings) -> Access:
    """Raises FileTrouble, which names the variable whose file it is."""
    if settings.kafka_protocol == "PLAINTEXT":
        return PLAIN_TEXT
    ca, certificate, key = settings.kafka_ca_file, settings.kafka_certificate_file, settings.kafka_key_file
    trust = _read(settings, "kafka_ca_file", ca, lambda: ssl.create_default_context(cafile=ca))
    if certificate is not None and key is not None:
        _read(settings, "kafka_key_file", key, key.read_bytes)
        _read(settings, "kafka_certificate_file", certificate, certificate.read_bytes)
        # Without a passphrase of ours the library would ask the terminal for one.
        _read(settings, "kafka_certificate_file", certificate, lambda: trust.load_cert_chain(certificate, key, "none"))
    password_file = settings.kafka_password_file
    if password_file is None:
        return Access(settings.kafka_protocol, trust)
    password = _read(settings, "kafka_password_file", password_file, lambda: _password(password_file))
    return Access(settings.kafka_protocol, trust, settings.kafka_mechanism, settings.kafka_user, password)


def commands_access() -> Access:
    """The same for a command, by the variables that all services share; ends it where they cannot be used."""
    try:
        return access_of(load(ServiceSettings))
    except Bad as bad:
        _end(bad.lines[0], EXIT_SETTINGS)
    except FileTrouble as trouble:
        _end(str(trouble), EXIT_FILE)


def _password(file: Path) -> str:
    password = file.read_text("utf-8").rstrip("\r\n")
    if not password or "\n" in password:
        raise ValueError("expected one line")
    return password


def _read(settings: ServiceSettings, field: str, path: Path | None, read: Callable[[], T]) -> T:
    try:
        return read()
    except (OSError, ValueError) as error:  # what the ssl library says is an OSError, too
        why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        raise FileTrouble(f"cannot use {path}: {why}; is {settings.told(field)} right?") from error


def _end(why: str, code: int) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(code)
