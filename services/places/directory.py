"""The answering points of a region: who they are, who stands in for whom, and the ten-digit lines behind them.

Read from psaps.csv, alternates.csv and lines.csv; an installation adds credentials.csv of its own, which holds only
hashes. Lines belong to owners: a PSAP, or a named desk that is staffed for the whole region.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from hmac import compare_digest

from services.places.refusal import RegionRefused, Row, rows_of

REGION_DESK = "region"
"""Owner of the lines that answer for the whole region when a PSAP's own do not."""
NUISANCE_DESK = "nuisance-desk"
"""Owner of the lines to which a policy diverts callers that it suspects; people answer there too."""
DESKS = (REGION_DESK, NUISANCE_DESK)

CHANNELS_MAX = 10_000
CREDENTIALS_FILE = "credentials.csv"


@dataclass(frozen=True, slots=True)
class Psap:
    """One answering point. `kind` is for people and reports: municipal, regional, state_police, back_up, military."""

    psap_id: str
    name: str
    town: str
    kind: str


@dataclass(frozen=True, slots=True)
class Line:
    """One administrative line: its number in E.164, and how many calls it takes at once."""

    number: str
    channels: int


@dataclass(frozen=True, slots=True)
class Directory:
    """PSAPs by id; alternates by PSAP, nearest first; lines by owner, in the order to dial; hashes by PSAP."""

    psaps: Mapping[str, Psap]
    alternates: Mapping[str, tuple[str, ...]]
    lines: Mapping[str, tuple[Line, ...]]
    credential_hashes: Mapping[str, frozenset[str]]

    def lines_of(self, owner: str) -> tuple[Line, ...]:
        """The lines of a PSAP or desk in the order to dial them; empty for an unknown owner."""
        return self.lines.get(owner, ())

    def candidates_from(self, psap_id: str) -> tuple[str, ...]:
        """`psap_id`, then its alternates."""
        return (psap_id, *self.alternates.get(psap_id, ()))

    def admits(self, psap_id: str, token: str) -> bool:
        """Whether `token` is a credential of that PSAP (protocol.md R2); it may have several while one is replaced."""
        given = sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        matches = [compare_digest(given, known) for known in self.credential_hashes.get(psap_id, frozenset())]
        return any(matches)

    def with_credentials(self, hashes: Mapping[str, frozenset[str]]) -> "Directory":
        """The same with these hashes, as far as they are of PSAPs that it knows."""
        known = {psap_id: found for psap_id, found in hashes.items() if psap_id in self.psaps}
        return replace(self, credential_hashes=known)


def read_directory(texts: Mapping[str, str | bytes]) -> Directory:
    """The directory of a region's texts. Raises RegionRefused, with file and line, when they do not fit together."""
    psaps: dict[str, Psap] = {}
    for row in rows_of(texts, "psaps.csv", ("psap_id", "name", "town", "kind")):
        psap_id = row.filled("psap_id")
        if psap_id in psaps or psap_id in DESKS:
            raise row.refuse(f"psap_id {psap_id!r} is taken; give each PSAP its own")
        psaps[psap_id] = Psap(psap_id, row.filled("name"), row["town"], row["kind"])
    return Directory(psaps, _alternates(texts, psaps), _lines(texts, psaps), read_credentials(texts, psaps))


def _alternates(texts: Mapping[str, str | bytes], psaps: Mapping[str, Psap]) -> dict[str, tuple[str, ...]]:
    ordered: dict[str, dict[int, str]] = defaultdict(dict)
    for row in rows_of(texts, "alternates.csv", ("psap_id", "order", "alternate_id")):
        psap_id, alternate_id = known_psap(row, "psap_id", psaps), known_psap(row, "alternate_id", psaps)
        order = row.integer("order", 1, 100)
        if alternate_id == psap_id or alternate_id in ordered[psap_id].values():
            raise row.refuse(f"{alternate_id!r} cannot stand in for {psap_id!r}: itself, or named before")
        if order in ordered[psap_id]:
            raise row.refuse(f"order {order} of {psap_id!r} is taken by {ordered[psap_id][order]!r}")
        ordered[psap_id][order] = alternate_id
    return {psap_id: tuple(found[order] for order in sorted(found)) for psap_id, found in ordered.items()}


def _lines(texts: Mapping[str, str | bytes], psaps: Mapping[str, Psap]) -> dict[str, tuple[Line, ...]]:
    ordered: dict[str, dict[int, Line]] = defaultdict(dict)
    owners: dict[str, str] = {}
    for row in rows_of(texts, "lines.csv", ("owner", "order", "number", "channels")):
        owner, number, order = row.filled("owner"), row["number"], row.integer("order", 1, 100)
        if owner not in psaps and owner not in DESKS:
            raise row.refuse(f"owner: expected a PSAP of psaps.csv or one of {', '.join(DESKS)}, got {owner!r}")
        if re.fullmatch(r"\+[1-9][0-9]{6,14}", number) is None:
            raise row.refuse(f"number: expected E.164 such as +16175550100, got {number[:20]!r}")
        if number in owners:
            raise row.refuse(f"number {number} is already a line of {owners[number]!r}")
        if order in ordered[owner]:
            raise row.refuse(f"order {order} of {owner!r} is taken")
        owners[number] = owner
        ordered[owner][order] = Line(number, row.integer("channels", 1, CHANNELS_MAX))
    missing = [owner for owner in (*psaps, REGION_DESK) if owner not in ordered]
    if missing:
        raise RegionRefused(f"lines.csv: no line for {', '.join(map(repr, missing[:5]))}; each needs at least one")
    return {owner: tuple(found[order] for order in sorted(found)) for owner, found in ordered.items()}


def read_credentials(
    texts: Mapping[str, str | bytes], psaps: Mapping[str, Psap] | None = None
) -> dict[str, frozenset[str]]:
    """The hashes by PSAP, of credentials.csv where that is among the texts. Raises RegionRefused.

    A PSAP that is not among `psaps` is refused; without `psaps` any is taken, since an installation hands out a token
    before the region names its PSAP, and withdraws it after.
    """
    hashes: dict[str, set[str]] = defaultdict(set)
    if CREDENTIALS_FILE in texts:
        for row in rows_of(texts, CREDENTIALS_FILE, ("psap_id", "sha256")):
            digest = row["sha256"].lower()
            if re.fullmatch(r"[0-9a-f]{64}", digest) is None:
                raise row.refuse("sha256: expected the 64 hexadecimal digits of the token's SHA-256")
            psap_id = row.filled("psap_id") if psaps is None else known_psap(row, "psap_id", psaps)
            hashes[psap_id].add(digest)
    return {psap_id: frozenset(found) for psap_id, found in hashes.items()}


def known_psap(row: Row, column: str, psaps: Mapping[str, Psap]) -> str:
    """The PSAP id in `column`, refused when psaps.csv does not name it."""
    psap_id = row.filled(column)
    if psap_id not in psaps:
        raise row.refuse(f"{column}: expected a PSAP of psaps.csv, got {psap_id!r}")
    return psap_id
