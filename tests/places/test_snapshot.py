"""Which copy of a region is served: the first good one, and the reasons against the others are kept."""

from collections.abc import Iterator

import pytest

from services.places.refusal import RegionRefused
from services.places.region import Region
from services.places.snapshot import Refused, Source, first_good

read = Region.from_texts
Texts = dict[str, str | bytes]


def test_a_broken_newest_copy_falls_back_to_the_last_good_and_says_why(texts: Texts) -> None:
    """architecture.md, views load: a bad publication neither stops the service nor goes unnoticed."""
    broken = {**texts, "lines.csv": "owner,order,number,channels\n1,1,911,1\n"}
    chosen = first_good([Source("newest", broken), Source("last_good", {}), Source("baked_in", texts)], read)
    assert chosen.source == "baked_in"
    assert chosen.region.name == "Two towns"
    assert chosen.refused == (
        Refused("newest", "lines.csv line 2: number: expected E.164 such as +16175550100, got '911'"),
        Refused("last_good", "psaps.csv: missing; expected it beside the region's other files"),
    )


def test_copies_after_the_first_good_one_are_not_read(texts: Texts) -> None:
    """The host may read copies only as they are asked for."""

    def sources() -> Iterator[Source]:
        yield Source("newest", texts)
        raise AssertionError("a second copy was asked for")

    assert first_good(sources(), read).source == "newest"


def test_when_no_copy_is_good_every_reason_is_named() -> None:
    """An operator must not have to guess which of three copies failed how."""
    with pytest.raises(RegionRefused) as caught:
        first_good([Source("last_good", {"psaps.csv": ""}), Source("baked_in", {})], read)
    assert "last_good: psaps.csv line 1" in caught.value.reason
    assert "baked_in: psaps.csv: missing" in caught.value.reason
    with pytest.raises(RegionRefused, match="no source was given"):
        first_good([], read)
