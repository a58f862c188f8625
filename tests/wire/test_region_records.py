"""A publication on the wire and back, and what is no part of one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.publication import (
    FILES_MAX,
    NUMBER_MAX,
    Current,
    Entry,
    File,
    Part,
    Shelf,
    Version,
    Whole,
    draft,
    parts_of,
)
from services.wire import region_records
from services.wire.methods import Unreadable

digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
numbers = st.integers(1, 2**53)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
parts = st.integers(1, 2**31).flatmap(
    lambda count: st.builds(Part, digests, st.integers(0, count - 1), st.just(count), st.binary(max_size=64))
)
versions = st.builds(
    Version,
    numbers,
    st.lists(st.builds(File, text, digests, numbers), max_size=8).map(tuple),
    text,
    text,
    st.integers(0, 2**53),
    st.integers(0, 2**53),
)


@given(st.one_of(parts, versions.map(region_records.signed), st.builds(Current, numbers, digests)))
def test_what_was_written_is_read(entry: Entry) -> None:
    """Each kind of record, with the digest that `current` names a version by."""
    key, value = region_records.encode(entry)
    assert region_records.read(key, value) == entry


@given(versions, versions)
def test_two_versions_of_one_number_have_two_digests(one: Version, two: Version) -> None:
    """So that `current` never names a version that somebody else wrote over the one it meant."""
    same = region_records.encode(one)[1] == region_records.encode(two)[1]
    assert (region_records.signed(one).digest == region_records.signed(two).digest) == same


@given(st.one_of(parts, versions), st.one_of(parts, versions))
def test_a_record_under_anothers_key_is_refused(one: Entry, two: Entry) -> None:
    """Compaction would keep the wrong one of the two."""
    key, value = region_records.encode(one)
    other, _ = region_records.encode(two)
    if key != other:
        with pytest.raises(Unreadable):
            region_records.read(other, value)


def test_a_kind_of_a_later_version_is_passed_over() -> None:
    """An old reader in the middle of a roll-out goes on with what it knows."""
    assert region_records.read("signature/3", b"\xff") is None


GOOD = Version(1, (), "", "", 0)


@pytest.mark.parametrize(
    "forged",
    [
        replace(GOOD, number=2**64 - 1),
        replace(GOOD, number=NUMBER_MAX + 1),
        replace(GOOD, number=0),
        replace(GOOD, at_ms=2**63 - 1),
        replace(GOOD, at_ms=-1),
        replace(GOOD, reverts_to=2**64 - 1),
        replace(GOOD, files=tuple(File(f"{n}", "ab" * 32, 1) for n in range(FILES_MAX + 1))),
        Current(2**64 - 1, ""),
        Current(0, ""),
    ],
    ids=lambda forged: repr(forged)[:60],
)
def test_what_no_publisher_wrote_is_unreadable(forged: Entry) -> None:
    """A number at the end of its type would leave none for the next version."""
    key, value = region_records.encode(forged)
    with pytest.raises(Unreadable):
        region_records.read(key, value)


@pytest.mark.parametrize("forged", [replace(GOOD, number=NUMBER_MAX), replace(GOOD, at_ms=NUMBER_MAX)])
def test_behind_the_last_number_that_is_read_regions_can_still_be_published(forged: Version) -> None:
    """A forged version must not be the last one."""
    topic: list[Entry] = [region_records.signed(forged)]
    for content in (b"one", b"two"):
        drafted = draft(shelf_of(topic), {"a.csv": content}, "", "", 1_000)
        assert drafted is not None
        version = region_records.signed(drafted)
        topic += [*parts_of(content), version, Current(version.number, version.digest)]
        standing = shelf_of(topic).standing()
        assert isinstance(standing, Whole)
        assert standing.contents == {"a.csv": content}


def shelf_of(topic: list[Entry]) -> Shelf:
    """What a reader of these records holds."""
    shelf = Shelf()
    for offset, entry in enumerate(topic):
        read = region_records.read(*region_records.encode(entry))
        assert read is not None
        shelf.put(offset, read)
    return shelf


@pytest.mark.parametrize("key", ["current", "version/1", f"item/{'ab' * 32}/0"])
def test_bytes_that_are_no_record_are_unreadable(key: str) -> None:
    """Under each key that a reader knows."""
    with pytest.raises(Unreadable):
        region_records.read(key, b"\xff\xff\xff")
    with pytest.raises(Unreadable):
        region_records.read(key, b"\0" * (region_records.RECORD_BYTES_MAX + 1))
