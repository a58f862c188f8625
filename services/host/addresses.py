"""`host:port`, as settings and commands take it: one rule and one message for all of them."""

from __future__ import annotations

import typer


def host_port(text: str) -> str:
    """Returns `text` if it is `host:port` with a port of 0 to 65535; raises ValueError otherwise."""
    host, colon, port = text.rpartition(":")
    if not host or not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError(f"expected host:port, such as 127.0.0.1:9092; got {text!r}")
    return text


def checked(given: str | list[str] | None) -> str | list[str] | None:
    """A command's option: addresses with commas between them, or several. Raises typer.BadParameter (exit 2)."""
    several = given.split(",") if isinstance(given, str) else given or []
    try:
        for each in several:
            if each.strip():
                host_port(each.strip())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if given is not None and not any(each.strip() for each in several):
        raise typer.BadParameter("expected host:port, such as 127.0.0.1:9092; got nothing")
    return given
