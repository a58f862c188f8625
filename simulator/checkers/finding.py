"""One thing that does not hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`checker` names the check, such as `three_witnesses`; `call_id` is empty where no call is to blame."""

    checker: str
    call_id: str
    words: str

    def __str__(self) -> str:
        return f"{self.checker}: {self.call_id + ': ' if self.call_id else ''}{self.words}"
