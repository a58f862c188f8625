"""A publication on the wire and back, and what is no part of one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.publication import Current, Entry, File, Part, Version
from services.wire import region_records
from services.wire.methods import Unreadable

digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
numbers = st.integers(1, 2**63 - 1)
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
    st.integers(0, 2**62),
    st.integers(0, 2**62),
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


@pytest.mark.parametrize("key", ["current", "version/1", f"item/{'ab' * 32}/0"])
def test_bytes_that_are_no_record_are_unreadable(key: str) -> None:
    """Under each key that a reader knows."""
    with pytest.raises(Unreadable):
        region_records.read(key, b"\xff\xff\xff")
    with pytest.raises(Unreadable):
        region_records.read(key, b"\0" * (region_records.RECORD_BYTES_MAX + 1))
