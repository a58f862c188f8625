"""What the checker found in a bundle: where, what is wrong, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`line` is of the file, 0 where it is about the bundle as a whole; `rule_id` is empty where it is about none."""

    line: int
    rule_id: str
    what: str
    instead: str

    def __str__(self) -> str:
        rule = f"rule {self.rule_id}: " if self.rule_id else ""
        return f"line {self.line}: {rule}{self.what}; {self.instead}"


@dataclass(frozen=True, slots=True)
class Report:
    """A bundle with an error is not taken; warnings are for its author."""

    errors: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
