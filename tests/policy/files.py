"""Bundles as files, for tests: one that is good, and the same with something else in it."""

from __future__ import annotations

from services.policy.bundle import Bundle
from services.policy.files.reading import read_bundle

NUISANCE = "+15085550199"


def text(version: int = 7, **changed: str) -> str:
    """A bundle of one rule that diverts; `changed` replaces the value of a field of the same name."""
    fields = {
        "lists": f"{{nuisance: {{kind: number, items: [{NUISANCE}]}}}}",
        "limits": "{diverted_share: 0.02}",
        "canary": "[{share: 0.5, calls_min: 10, minutes_min: 1}, {share: 1.0, calls_min: 10, minutes_min: 1}]",
        "id": "nuisance",
        "reason": "repeat_caller",
        "when": "number in lists.nuisance && number_calls_600s > 3",
        "verdict": "{divert: nuisance-desk}",
        "forecast_share": "0.001",
        "expires": "2099-01-01T00:00:00Z",
        "owner": "the desk",
        **changed,
    }
    head = [f"{key}: {fields[key]}" for key in ("lists", "limits", "canary")]
    rule = [f"    {key}: {fields[key]}" for key in ("reason", "when", "verdict", "forecast_share", "expires", "owner")]
    lines = ["name: nuisance", f"version: {version}", "author: a person", *head, "rules:", f"  - id: {fields['id']}"]
    return "\n".join([*lines, *rule, ""])


def bundle(version: int = 7, **changed: str) -> Bundle:
    """The same, read."""
    return read_bundle(text(version, **changed).encode())
