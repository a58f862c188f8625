"""How a command ends when it cannot do what was wanted: one line on standard error, and a code."""

from __future__ import annotations

from typing import Final, NoReturn

import typer

EXIT_REFUSED: Final = 1


def refuse(why: str, code: int) -> NoReturn:
    """Says why, and ends."""
    typer.echo(f"throughline policy: {why}", err=True)
    raise typer.Exit(code)
