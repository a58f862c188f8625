"""How the tries of a planned call are named: the first as it, and each redial after it."""

from __future__ import annotations

from typing import Final

REDIAL: Final = "-redial"


def named(planned: str, tries: int) -> str:
    """The call_id of the how manieth try, from 1 on."""
    return planned if tries == 1 else f"{planned}{REDIAL}{tries - 1}"


def planned_as(call_id: str) -> str:
    """The planned call of which it is a try."""
    return call_id.partition(REDIAL)[0]
