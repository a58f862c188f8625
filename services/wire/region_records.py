"""A region's publication as the records of the topic `routing`, and back.

The key of each record follows from its value, so that compaction keeps one of each; a record whose key says something
else was written by a stranger and is refused.
"""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from typing import Final

from throughline.v1 import routing_pb2

from services.domain.publication import FILES_MAX, NUMBER_MAX, Current, Entry, File, Part, Version
from services.wire.methods import Unreadable, parse

RECORD_BYTES_MAX: Final = 512 * 1024
CURRENT_KEY: Final = "current"
_ITEM: Final = "item/"
_VERSION: Final = "version/"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def encode(entry: Entry) -> tuple[str, bytes]:
    """The record's key and value."""
    match entry:
        case Part():
            item = routing_pb2.RegionItem(
                sha256=entry.sha256, part=entry.number, parts=entry.parts, content=entry.content
            )
            return _item_key(entry), item.SerializeToString()
        case Version():
            return f"{_VERSION}{entry.number}", _version(entry).SerializeToString(deterministic=True)
        case Current():
            current = routing_pb2.RegionCurrent(version=entry.number, version_sha256=entry.digest)
            return CURRENT_KEY, current.SerializeToString()


def signed(version: Version) -> Version:
    """The version with its record's digest, as `current` names it."""
    return replace(version, digest=sha256(encode(version)[1]).hexdigest())


def read(key: str, value: bytes) -> Entry | None:
    """What a record says; None where its key is of a kind that this version does not know.

    Raises Unreadable where the bytes are no such record, or one of another key.
    """
    if key == CURRENT_KEY:
        current = parse(routing_pb2.RegionCurrent, value, RECORD_BYTES_MAX)
        _bounded(key, value, current.version)
        return Current(current.version, current.version_sha256)
    if key.startswith(_VERSION):
        told = parse(routing_pb2.RegionVersion, value, RECORD_BYTES_MAX)
        _bounded(key, value, told.version, told.at_ms, told.reverts_to)
        if len(told.files) > FILES_MAX:
            raise Unreadable(f"{key}: expected at most {FILES_MAX} files, got {len(told.files)}", value)
        files = tuple(File(each.name, each.sha256, each.size_bytes) for each in told.files)
        _expect(key, f"{_VERSION}{told.version}", value)
        digest = sha256(value).hexdigest()
        return Version(told.version, files, told.author, told.note, told.at_ms, told.reverts_to, digest)
    if key.startswith(_ITEM):
        item = parse(routing_pb2.RegionItem, value, RECORD_BYTES_MAX)
        part = Part(item.sha256, item.part, item.parts, item.content)
        if _SHA256.fullmatch(part.sha256) is None or not part.number < part.parts:
            raise Unreadable(f"{key}: expected a SHA-256 and a part below the number of parts", value)
        _expect(key, _item_key(part), value)
        return part
    return None


def _bounded(key: str, value: bytes, version: int, *others: int) -> None:
    """No number may be so high that the next one could not be written."""
    if not 1 <= version <= NUMBER_MAX or not all(0 <= other <= NUMBER_MAX for other in others):
        raise Unreadable(f"{key}: expected versions from 1 and instants from 0, all up to {NUMBER_MAX}", value)


def _expect(key: str, expected: str, value: bytes) -> None:
    if key != expected:
        raise Unreadable(f"{key}: the record says that it is {expected[:100]}", value)


def _item_key(part: Part) -> str:
    return f"{_ITEM}{part.sha256}/{part.number}"


def _version(version: Version) -> routing_pb2.RegionVersion:
    return routing_pb2.RegionVersion(
        version=version.number,
        files=[
            routing_pb2.RegionFile(name=file.name, sha256=file.sha256, size_bytes=file.size_bytes)
            for file in version.files
        ],
        author=version.author,
        note=version.note,
        at_ms=version.at_ms,
        reverts_to=version.reverts_to,
    )
