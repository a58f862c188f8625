"""What readers of `routing` hold, whatever they saw of it: the whole current version, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.domain.publication import (
    PART_BYTES_MAX,
    Current,
    Entry,
    Part,
    Shelf,
    Torn,
    Version,
    Whole,
    draft,
    parts_of,
)

Contents = Mapping[str, bytes]
Records = list[tuple[int, Entry]]

# Few names and few contents, so that versions share files and come again.
files = st.dictionaries(st.sampled_from("abc"), st.sampled_from([b"", b"1", b"22", b"333"]), min_size=1)


def signed(version: Version) -> Version:
    """As the wire does it: a digest that differs with anything in it."""
    return replace(version, digest=sha256(repr(version).encode()).hexdigest())


def writes(shelf: Shelf, contents: Contents, author: str = "", wall_ms: int = 0) -> list[Entry]:
    """What one publication appends, in order; nothing where the content is current."""
    drafted = draft(shelf, contents, author, "", wall_ms)
    if drafted is None:
        return []
    version = signed(drafted)
    parts = [part for content in contents.values() for part in parts_of(content)]
    return [*parts, version, Current(version.number, version.digest)]


def shelf_of(records: Sequence[tuple[int, Entry]]) -> Shelf:
    shelf = Shelf()
    for offset, entry in records:
        shelf.put(offset, entry)
    return shelf


def history(publications: Sequence[Contents]) -> Records:
    """The topic after these publications, one after the other."""
    records: Records = []
    for contents in publications:
        for entry in writes(shelf_of(records), contents):
            records.append((len(records), entry))
    return records


def key(entry: Entry) -> object:
    match entry:
        case Part():
            return entry.sha256, entry.number
        case Version():
            return entry.number
        case Current():
            return None


def contents_of(shelf: Shelf) -> Contents | None:
    standing = shelf.standing()
    assert not isinstance(standing, Torn), standing.reason
    return None if standing is None else standing.contents


@given(st.lists(files, min_size=1, max_size=5), st.data())
def test_order_repeats_and_compaction_change_nothing(publications: list[Contents], data: st.DataObject) -> None:
    """Whoever saw everything and whoever came after a compaction hold the same version."""
    records = history(publications)
    newest = {key(entry): offset for offset, entry in records}
    old = [offset for offset, entry in records if newest[key(entry)] != offset]
    gone = data.draw(st.sets(st.sampled_from(old))) if old else set()
    kept = [record for record in records if record[0] not in gone]
    seen = data.draw(st.permutations(kept)) + data.draw(st.lists(st.sampled_from(kept)))
    assert shelf_of(seen).standing() == shelf_of(records).standing()
    assert contents_of(shelf_of(seen)) == publications[-1]


@given(st.lists(files, min_size=1, max_size=4))
def test_a_reader_of_any_beginning_holds_the_version_before_or_the_new_one(publications: list[Contents]) -> None:
    """A publisher that dies in between has published nothing: the order of its appends sees to that."""
    records = history(publications)
    assert all(contents_of(shelf_of(records[:end])) in (None, *publications) for end in range(len(records) + 1))


@given(st.lists(files, min_size=1, max_size=4), st.data())
def test_what_lacks_a_record_is_torn_and_never_something_else(
    publications: list[Contents], data: st.DataObject
) -> None:
    """Any record of the current version lost: no reader serves a region with a hole in it."""
    records = history(publications)
    whole = shelf_of(records).standing()
    assert isinstance(whole, Whole)
    needed = {file.sha256 for file in whole.version.files}
    wanted = [e for _, e in records if e == whole.version or (isinstance(e, Part) and e.sha256 in needed)]
    lost = key(data.draw(st.sampled_from(wanted)))
    assert isinstance(shelf_of([record for record in records if key(record[1]) != lost]).standing(), Torn)


@given(st.binary(min_size=1), st.binary())
def test_content_that_is_not_what_its_hash_says_is_torn(content: bytes, other: bytes) -> None:
    """A file is known by its content alone, and is checked against it."""
    records = history([{"a": content}])
    spoilt = [(at, replace(e, content=other) if isinstance(e, Part) else e) for at, e in records]
    standing = shelf_of(spoilt).standing()
    assert isinstance(standing, Whole) == (other == content)


@given(st.integers(0, 3 * PART_BYTES_MAX))
def test_a_large_file_is_split_and_put_together_again(size: int) -> None:
    """Parts fit the topic's limit; a file of any length comes back to the byte."""
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    parts = parts_of(content)
    assert all(len(part.content) <= PART_BYTES_MAX for part in parts)
    assert contents_of(shelf_of(history([{"a": content}]))) == {"a": content}


@given(files, files, st.data())
def test_two_who_publish_at_once_never_get_a_mixture(one: Contents, two: Contents, data: st.DataObject) -> None:
    """However their records mingle: the one, the other, or torn; and torn is seen by whoever wrote last."""
    before = history([{"z": b"before"}])
    first, second = writes(shelf_of(before), one, "one"), writes(shelf_of(before), two, "two")
    turns = data.draw(st.permutations([0] * len(first) + [1] * len(second)))
    queues = (iter(first), iter(second))
    mingled = before + [(len(before) + n, next(queues[turn])) for n, turn in enumerate(turns)]
    standing = shelf_of(mingled).standing()
    if isinstance(standing, Whole):
        assert standing.contents in (one, two)
    else:
        assert isinstance(standing, Torn)
    mended = [(len(mingled) + n, entry) for n, entry in enumerate(writes(shelf_of(mingled), one))]
    assert contents_of(shelf_of(mingled + mended)) == one


@given(st.lists(files, min_size=1, max_size=6), st.data())
def test_a_reader_may_forget_what_is_settled(publications: list[Contents], data: st.DataObject) -> None:
    """A long history costs no memory, and nothing that a later version needs is missing, whenever it was forgotten."""
    records = history(publications)
    forgetful = Shelf()
    for n, (offset, entry) in enumerate(records, 1):
        forgetful.put(offset, entry)
        if data.draw(st.booleans()):
            forgetful.forget_settled()
        assert forgetful.standing() == shelf_of(records[:n]).standing()
    forgetful.forget_settled()
    held = contents_of(forgetful)
    assert held is not None and forgetful.content_bytes <= sum(map(len, held.values()))


@given(files, files)
def test_parts_of_a_publication_under_way_are_not_forgotten(one: Contents, two: Contents) -> None:
    """They came after every version that names them, so somebody is about to name them again."""
    before = history([one, {"z": b"other"}])
    under_way = writes(shelf_of(before), one, "slow")
    between = writes(shelf_of(before), two, "quick")
    shelf = shelf_of(before)
    entries = [*under_way[:-2], *between, "forget", *under_way[-2:]]
    for offset, entry in enumerate(entries, len(before)):
        if isinstance(entry, str):
            shelf.forget_settled()
        else:
            shelf.put(offset, entry)
    assert contents_of(shelf) == one


@given(st.lists(st.tuples(files, st.integers(0, 2**40)), min_size=1, max_size=6))
def test_numbers_and_instants_only_rise(publications: list[tuple[Contents, int]]) -> None:
    """Whatever the publishers' clocks say; and the same content again makes no new version."""
    records: Records = []
    for contents, wall_ms in publications:
        for entry in writes(shelf_of(records), contents, wall_ms=wall_ms):
            records.append((len(records), entry))
        assert draft(shelf_of(records), contents, "", "", 0) is None
    versions = [entry for _, entry in records if isinstance(entry, Version)]
    assert [version.number for version in versions] == list(range(1, len(versions) + 1))
    assert all(a.older_than(b) and not b.older_than(a) for a, b in pairwise(versions))
    assert shelf_of(records).versions == tuple(versions)


def test_a_topic_that_was_made_anew_is_not_older() -> None:
    """It counts from 1 again, but later."""
    kept = Version(7, (), "", "", at_ms=1_000)
    assert not Version(1, (), "", "", at_ms=2_000).older_than(kept)
    assert Version(6, (), "", "", at_ms=900).older_than(kept)
