"""Calls to replay: a corpus by its name, a file of calls, or what firewalls recorded.

A file holds one call a line, as JSON: `at_ms` (or `at_s` from its start), `call_id`, `caller`, `lat`, `lon`, `radius_m`
and whatever else of `service_urn`, `source`, `trunk`, `device`, `attestation`, `verification` and `display_name` is
known.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

from services.domain.offer import SOS_URN, Attestation, Device, Offer, Verification
from services.domain.place import Circle, Place
from services.places.region import REGION_FILES, Region
from services.policy.replays import retelling
from services.policy.replays.difference import Call
from services.policy.verdicts.inputs import Located
from services.policy_cli import given

LINE_BYTES_MAX: Final = 16 * 1024
CALLS_MAX: Final = 1_000_000

Offered = tuple[int, Offer]
S = TypeVar("S", bound=StrEnum)


class BadCorpus(Exception):
    """Calls that cannot be replayed; the message says where and why."""


class Corpus(StrEnum):
    """Those that come with the project (`loadtest/corpora.py`)."""

    DAY = "day"
    STORM = "storm"
    FLOOD = "flood"


WHAT: Final[Mapping[Corpus, str]] = {
    Corpus.DAY: "an ordinary day, drawn",
    Corpus.STORM: "the storm of 24 February 2016, placed in the region",
    Corpus.FLOOD: "a busy hour with a flood from 50 sources, drawn",
}


def named(corpus: Corpus, folder: Path) -> list[Offered]:
    """The corpus of that name, in the region of that folder. Loaded late: it is no part of a service."""
    held: Mapping[str, Callable[[Path], list[Offered]]] = importlib.import_module("loadtest.corpora").CORPORA
    return held[corpus](folder)


def read_region(folder: Path) -> Region:
    """The region of a folder; raises RegionRefused, OSError."""
    texts = {}
    for name in REGION_FILES:
        with given.opened(folder / name) as file:
            texts[name] = file.read()
    return Region.from_texts(texts)


def calls_of(offered: Iterable[Offered], region: Region, zone: tzinfo) -> Iterator[Call]:
    """The offers as calls with windows of their own, test calls left out."""

    def locate(place: Place) -> Located:
        found = region.locate(place)
        return Located.of(found.town, found.candidates)

    real = ((at_ms, offer) for at_ms, offer in offered if not offer.test)
    return retelling.of_offers(real, locate, zone)


def read_calls(path: Path) -> list[Offered]:
    """A file's calls in order of time; raises BadCorpus, with the line where one is wrong."""
    offered = []
    try:
        opened = given.opened(path)
    except OSError as error:
        raise BadCorpus(f"{path}: {error.strerror or error}; expected a file of calls, one JSON a line") from None
    with opened as file:
        for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES_MAX + 1), b""), 1):
            if len(line) > LINE_BYTES_MAX or number > CALLS_MAX:
                raise BadCorpus(f"{path}:{number}: expected at most {CALLS_MAX} lines of {LINE_BYTES_MAX} bytes")
            if line.strip():
                try:
                    offered.append(_call(json.loads(line), number))
                except (ValueError, TypeError, KeyError, RecursionError) as error:
                    raise BadCorpus(f"{path}:{number}: expected a call as JSON; {_said(error)}") from None
    return sorted(offered, key=lambda each: each[0])


def _call(said: Any, number: int) -> Offered:
    if not isinstance(said, dict):
        raise ValueError(f"got {type(said).__name__}")
    at_ms = said["at_ms"] if "at_ms" in said else round(float(said["at_s"]) * 1000)
    place = None
    if said.get("lat") is not None and said.get("lon") is not None:
        place = Circle(float(said["lat"]), float(said["lon"]), float(said.get("radius_m") or 0.0))
    offer = Offer(
        _text(said, "call_id") or f"line-{number}",
        1,
        _text(said, "caller"),
        _text(said, "service_urn") or SOS_URN,
        place,
        _one_of(Attestation, said, Attestation.NONE),
        _text(said, "source"),
        verification=_one_of(Verification, said, Verification.NONE),
        trunk=_text(said, "trunk"),
        device=_one_of(Device, said, Device.UNKNOWN),
        display_name=_text(said, "display_name"),
    )
    if not isinstance(at_ms, int) or not 0 <= at_ms < 10**14:
        raise ValueError(f"at_ms: expected milliseconds since 1970, got {str(at_ms)[:40]}")
    return at_ms, offer


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name, "")
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name}: expected a text, got {str(value)[:40]}")
    return (value or "")[:256]


def _one_of(kind: type[S], said: Mapping[str, Any], unknown: S) -> S:
    text = _text(said, kind.__name__.lower()) or unknown
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{kind.__name__.lower()}: expected one of {', '.join(kind)}, got {text[:40]!r}") from None


def _said(error: Exception) -> str:
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)[:200]
