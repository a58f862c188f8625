"""Secrets of a local installation: a token file for each PSAP and the table of hashes that gateways read (R2); and two
operators' keys, with the file of their public halves that firewalls read."""

from __future__ import annotations

import csv
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from services.places.directory import CREDENTIALS_FILE
from services.policy.files import signing
from services.policy_cli import seals

POLICY_KEYS: Final = "THROUGHLINE_FIREWALL_POLICY_KEYS"
PRODUCTION: Final = "THROUGHLINE_PRODUCTION"
OPERATORS: Final = ("ann", "bob")
"""Two, since a policy that can divert more takes two people."""
_NO: Final = frozenset({"", "0", "false", "f", "no", "n", "off"})
"""All else is yes, or nothing that a service starts with."""


def psap_ids(region_dir: Path) -> list[str]:
    """Every PSAP of a region, in the order of its file."""
    with (region_dir / "psaps.csv").open(encoding="utf-8", newline="") as file:
        return [row["psap_id"] for row in csv.DictReader(file)]


def mint(region_dir: Path, folder: Path) -> tuple[Path, Path]:
    """Writes `tokens/<psap_id>` and the table of hashes into `folder`; returns (token folder, table).

    Token files are readable by their owner alone.
    """
    tokens = folder / "tokens"
    tokens.mkdir(parents=True, exist_ok=True)
    table = folder / CREDENTIALS_FILE
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("psap_id", "sha256"))
        for psap_id in psap_ids(region_dir):
            token = secrets.token_urlsafe(24)
            path = tokens / psap_id
            path.touch(mode=0o600)
            path.write_text(token, encoding="utf-8")
            writer.writerow((psap_id, hashlib.sha256(token.encode()).hexdigest()))
    return tokens, table


def operators(folder: Path, names: Sequence[str] = OPERATORS) -> tuple[Path, Path]:
    """Writes a key for each into `operators/`, and their public halves beside them; returns (folder of keys, file).

    A key that is there already stays: what it has signed may be live.
    """
    keys = folder / "operators"
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = []
    for name in names:
        path = keys / f"{name}{seals.KEY}"
        if not path.exists():
            seals.new_key(name, keys)
        lines.append(f"{name}: {signing.public_key(seals.read_key(path).private)}\n")
    public = keys / "public.yaml"
    public.write_text("".join(lines), encoding="utf-8")
    return keys, public


def policy_settings(folder: Path, environment: Mapping[str, str]) -> tuple[dict[str, str], Path | None]:
    """What firewalls of this folder are told beside their environment: who signs policies, where the last good one is
    kept, the file that lets every call pass. And where the private keys are; None where none were made.

    What the environment says goes first, and an installation marked production gets no operators but its own.
    """
    kept = folder / "policies"
    kept.mkdir(parents=True, exist_ok=True)
    found = {
        "THROUGHLINE_FIREWALL_POLICY_CACHE": str(kept),
        "THROUGHLINE_FIREWALL_BYPASS_FILE": str(folder / "bypass"),
    }
    keys: Path | None = None
    if POLICY_KEYS not in environment and environment.get(PRODUCTION, "").lower() in _NO:
        keys, public = operators(folder)
        found[POLICY_KEYS] = str(public)
    return {name: value for name, value in found.items() if name not in environment}, keys
