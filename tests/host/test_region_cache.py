"""The kept region as a file: whatever stands in it, it is read as it was kept or refused by name."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from services.domain.publication import NUMBER_MAX, File, Version, Whole
from services.host.region_cache import decode, encode
from services.places.refusal import RegionRefused

CONTENT = b"owner,order\n"
VERSION = Version(3, (File("lines.csv", sha256(CONTENT).hexdigest(), len(CONTENT)),), "ann", "note", 1_000, 2, "ab")
KEPT = Whole(VERSION, {"lines.csv": CONTENT})


def test_what_was_kept_is_read() -> None:
    """architecture.md, views load: the version and every byte."""
    assert decode(encode(KEPT)) == KEPT


@pytest.mark.parametrize("text", ["[" * 200_000, '{"files": ' * 200_000, "9" * 10_000, "", "[]"])
def test_a_text_that_is_no_region_is_refused(text: str) -> None:
    """A disk is not believed: deep nesting must not keep a replica from starting."""
    with pytest.raises(RegionRefused, match="remove the file"):
        decode(text)


@pytest.mark.parametrize("name", ["version", "at_ms", "reverts_to"])
@pytest.mark.parametrize("value", ["1e999", "-1", "NaN", str(NUMBER_MAX + 1)])
def test_a_number_out_of_bounds_is_refused(name: str, value: str) -> None:
    """No kept number may be one that the wire could not carry."""
    document = json.loads(encode(KEPT))
    document[name] = "HERE"
    with pytest.raises(RegionRefused, match="remove the file"):
        decode(json.dumps(document).replace('"HERE"', value))
