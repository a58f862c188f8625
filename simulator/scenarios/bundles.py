"""The bundles that scenarios push, as an operator would write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_OWNER: Final = "owner: policy desk, expires: 2100-01-01T00:00:00Z"


def bundle(version: int, rules: Sequence[str], lists: Sequence[str] = ()) -> bytes:
    """One file of these rules and lists, each a line in flow style."""
    lines = [
        "name: nuisance",
        f"version: {version}",
        "author: policy desk",
        *(["lists:", *(f"  {each}" for each in lists)] if lists else []),
        "rules:",
        *(f"  - {each}" for each in rules),
    ]
    return ("\n".join(lines) + "\n").encode()


def diverting(rule_id: str, when: str, forecast: float = 0.001) -> str:
    """A rule that diverts to the nuisance desk."""
    said = f"id: {rule_id}, reason: {rule_id.replace('-', '_')}, when: '{when}', verdict: {{divert: nuisance-desk}}"
    return f"{{{said}, forecast_share: {forecast}, {_OWNER}}}"


def flagging(rule_id: str, when: str, score: int) -> str:
    """A rule that flags."""
    said = f"id: {rule_id}, reason: {rule_id.replace('-', '_')}, when: '{when}', verdict: {{flag: {score}}}"
    return f"{{{said}, forecast_share: 0.01, {_OWNER}}}"


def listing(name: str, kind: str, items: Sequence[str]) -> str:
    """A named list."""
    return f"{name}: {{kind: {kind}, items: [{', '.join(items)}]}}"


REPEATS: Final = flagging("caller-repeats", "number_calls_60s >= 6", 40)
GOOD: Final = bundle(1, [diverting("nuisance", "number_calls_600s >= 12"), REPEATS])
"""Harmless: it diverts callers who call for the twelfth time within ten minutes."""
