"""What stands on the topic `routing`: files by their content, versions that name them, and which version is current.

A publication writes the parts of its files, then its version, then `current`; so whoever sees `current` can build it,
or something was lost and it is *torn*. The fold keeps the newest record of each key, by offset. That is also all that
compaction keeps, so a reader who saw everything and one who came after a compaction hold the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

PART_BYTES_MAX: Final = 256 * 1024
"""Half of what the topic takes in one record (services/journal/topics.py)."""
NUMBER_MAX: Final = 2**53
"""Of a version's number and of its instant in milliseconds, here and on the wire: far beyond any that is meant."""
FILES_MAX: Final = 64
"""Of one version; a region has seven."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the file whose content has this SHA-256; `number` is from 0 up to `parts` - 1."""

    sha256: str
    number: int
    parts: int
    content: bytes


@dataclass(frozen=True, slots=True)
class File:
    """A file of a version, by its name and its content."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Version:
    """One whole region. `digest` is the SHA-256 of its record, "" while it has none.

    `reverts_to` is the older version whose files these are again, 0 where they came from a folder.
    """

    number: int
    files: tuple[File, ...]
    author: str
    note: str
    at_ms: int
    reverts_to: int = 0
    digest: str = ""

    def older_than(self, other: Version) -> bool:
        """By number and by instant: a topic that was made anew counts from 1 again, but later."""
        return self.number < other.number and self.at_ms < other.at_ms


@dataclass(frozen=True, slots=True)
class Current:
    """Which version is to be served, by its number and its record's digest."""

    number: int
    digest: str


Entry = Part | Version | Current


@dataclass(frozen=True, slots=True)
class Whole:
    """A version with the content of each of its files, checked against their hashes."""

    version: Version
    contents: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Torn:
    """A version that cannot be built, and why."""

    number: int
    reason: str


class Shelf:
    """The topic as far as it was read. The order of `put` does not matter, nor do repeats."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, int], tuple[int, Entry]] = {}

    def put(self, offset: int, entry: Entry) -> None:
        """Takes one record in."""
        key = _key(entry)
        known = self._newest.get(key)
        if known is None or known[0] < offset:
            self._newest[key] = (offset, entry)

    @property
    def current(self) -> Current | None:
        """What the topic says is to be served; None where nothing was ever published."""
        found = self._newest.get(("current", 0))
        return found[1] if found is not None and isinstance(found[1], Current) else None

    @property
    def versions(self) -> tuple[Version, ...]:
        """Every version, by number."""
        found = [entry for _, entry in self._newest.values() if isinstance(entry, Version)]
        return tuple(sorted(found, key=lambda version: version.number))

    @property
    def content_bytes(self) -> int:
        """How much content is held, in bytes."""
        return sum(len(entry.content) for _, entry in self._newest.values() if isinstance(entry, Part))

    def standing(self) -> Whole | Torn | None:
        """The current version, whole or torn; None where nothing was ever published."""
        current = self.current
        if current is None:
            return None
        version = self._version(current.number)
        if version is None:
            return Torn(current.number, f"version/{current.number} is missing")
        if version.digest != current.digest:
            return Torn(current.number, f"version/{current.number} is another one than `current` names")
        return self.whole(version)

    def numbered(self, number: int) -> Whole | Torn:
        """An old version, whole or torn."""
        version = self._version(number)
        return Torn(number, f"version/{number} is missing") if version is None else self.whole(version)

    def whole(self, version: Version) -> Whole | Torn:
        """A version with its files' contents, or what is wrong with the first that is not as it says."""
        contents: dict[str, bytes] = {}
        for file in version.files:
            parts = list(self._parts(file.sha256))
            if not parts or len(parts) < parts[0].parts:
                return Torn(version.number, f"{file.name}: {len(parts)} parts of item/{file.sha256[:12]} are there")
            content = b"".join(part.content for part in parts)
            if sha256(content).hexdigest() != file.sha256:
                return Torn(version.number, f"{file.name}: its content is not that of item/{file.sha256[:12]}")
            contents[file.name] = content
        return Whole(version, contents)

    def forget_settled(self) -> None:
        """Drops contents that only past versions name, so that a long history costs no memory.

        A part that came after every past version which names it belongs to a publication under way, and stays.
        Whoever publishes writes all parts anew, so nothing that a later version names was dropped for good.
        """
        current = self.current
        version = self._version(current.number) if current is not None else None
        if current is None or version is None or version.digest != current.digest:
            return
        kept = {file.sha256 for file in version.files}
        settled: dict[str, int] = {}
        for offset, entry in self._newest.values():
            if isinstance(entry, Version) and entry.number <= version.number:
                settled |= {file.sha256: max(offset, settled.get(file.sha256, -1)) for file in entry.files}
        for key, (offset, entry) in list(self._newest.items()):
            if isinstance(entry, Part) and entry.sha256 not in kept and offset < settled.get(entry.sha256, -1):
                del self._newest[key]

    def _version(self, number: int) -> Version | None:
        found = self._newest.get(("version", number))
        return found[1] if found is not None and isinstance(found[1], Version) else None

    def _parts(self, digest: str) -> Iterator[Part]:
        """The parts of one file, in order, up to the first that is missing."""
        number = 0
        while (found := self._newest.get((digest, number))) is not None and isinstance(found[1], Part):
            yield found[1]
            number += 1
            if number >= found[1].parts:
                return


def parts_of(content: bytes) -> tuple[Part, ...]:
    """A file's content in parts that the topic takes."""
    digest = sha256(content).hexdigest()
    pieces = [content[at : at + PART_BYTES_MAX] for at in range(0, len(content), PART_BYTES_MAX)] or [b""]
    return tuple(Part(digest, number, len(pieces), piece) for number, piece in enumerate(pieces))


def draft(
    shelf: Shelf, contents: Mapping[str, bytes], author: str, note: str, wall_ms: int, reverts_to: int = 0
) -> Version | None:
    """The next version with these files; None where the current one is whole and has the same files.

    Number and instant both rise, whatever the publisher's clock says, up to the last that are read: behind a forged
    version the next ones share its number, and the newest record of that number is the one that `current` names.
    """
    files = tuple(File(name, sha256(content).hexdigest(), len(content)) for name, content in sorted(contents.items()))
    standing = shelf.standing()
    if isinstance(standing, Whole) and standing.version.files == files:
        return None
    numbers = [version.number for version in shelf.versions]
    if shelf.current is not None:
        numbers.append(shelf.current.number)
    at_ms = max([wall_ms, *(version.at_ms + 1 for version in shelf.versions)])
    number = min(max(numbers, default=0) + 1, NUMBER_MAX)
    return Version(number, files, author, note, min(at_ms, NUMBER_MAX), reverts_to)


def _key(entry: Entry) -> tuple[str, int]:
    match entry:
        case Part():
            return entry.sha256, entry.number
        case Version():
            return "version", entry.number
        case Current():
            return "current", 0
