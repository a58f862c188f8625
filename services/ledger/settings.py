"""What the ledger is told."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from services.host.settings import ServiceSettings


def _database_url(text: str) -> str:
    """Returns `text` if it is a database's URL; the message repeats nothing of it, since it may hold a password."""
    try:
        make_url(text)
    except ArgumentError:
        raise ValueError("expected a URL such as sqlite:///ledger.db; got something else") from None
    return text


DatabaseUrl = Annotated[str, AfterValidator(_database_url)]


class LedgerSettings(ServiceSettings):
    """Times are grace on top of what a fact itself says is due (protocol.md J1)."""

    service: ClassVar[str] = "ledger"

    database: DatabaseUrl = Field(
        "sqlite:///ledger.db",
        description="The database of books and callback list, as an SQLAlchemy URL. One ledger to a database.",
    )
    lost_grace_s: float = Field(
        5.0,
        ge=0,
        le=3600,
        description="Seconds after the time that a lost caller's conductor had, until the call goes onto the callback "
        "list without its word.",
    )
    silent_grace_s: float = Field(
        900.0,
        ge=1,
        le=86400,
        description="Seconds after the due time of any other call in progress, until it goes onto the callback list.",
    )
    sweep_s: float = Field(
        1.0, ge=0.05, le=60, description="Seconds between two looks at who is owed a callback and who no more."
    )
