"""Secrets of a local installation: a token file for each PSAP, and the table of hashes that gateways read (R2)."""

from __future__ import annotations

import csv
import hashlib
import secrets
from pathlib import Path

from services.places.directory import CREDENTIALS_FILE


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
