"""What a segment of the spool looks like in bytes, and how to read one that a crash has torn or a disk has damaged.

Pure. A record is `mark | length | crc32 | kind | body`; the length counts kind and body, the checksum covers length,
kind and body. The mark is there for reading on behind damage: whatever cannot be read up to the next whole record is
handed out as it is, so that nothing is dropped in silence.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from services.journal import Topic

MARK: Final = b"TLs1"
_HEAD: Final = struct.Struct("<4sII")
_LENGTH: Final = struct.Struct("<I")
_FACT: Final = 1
_BODY: Final = struct.Struct("<BqBI")  # kind, begun_ms, bytes of the topic, bytes of the key


@dataclass(frozen=True, slots=True)
class Entry:
    """One record. `begun_ms`: wall milliseconds at which it was first said."""

    topic: Topic
    key: str
    value: bytes
    begun_ms: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What a segment holds: `damaged` are stretches between whole records, `torn` is what follows the last one."""

    entries: tuple[Entry, ...]
    damaged: tuple[bytes, ...]
    torn: bytes


def encode(entry: Entry) -> bytes:
    """The record's bytes."""
    topic, key = entry.topic.encode(), entry.key.encode("utf-8", "surrogatepass")
    payload = b"".join((_BODY.pack(_FACT, entry.begun_ms, len(topic), len(key)), topic, key, entry.value))
    return _HEAD.pack(MARK, len(payload), _checksum(payload)) + payload


def read(data: bytes) -> Reading:
    """Every whole record, in order, and what lies between and behind them."""
    entries: list[Entry] = []
    damaged: list[bytes] = []
    at, bad_from = 0, -1
    while at < len(data):
        end = _end_of(data, at)
        entry = None if end is None else _entry(data[at + _HEAD.size : end])
        if end is not None and entry is not None:
            if bad_from >= 0:
                damaged.append(data[bad_from:at])
                bad_from = -1
            entries.append(entry)
            at = end
            continue
        if bad_from < 0:
            bad_from = at
        at = end if end is not None else _next_mark(data, at)
    return Reading(tuple(entries), tuple(damaged), data[bad_from:] if bad_from >= 0 else b"")


def _checksum(payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_LENGTH.pack(len(payload))))


def _end_of(data: bytes, at: int) -> int | None:
    """Where the record that begins here ends; None where no whole one does."""
    if len(data) - at < _HEAD.size:
        return None
    mark, length, checksum = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + int(length)
    if mark != MARK or end > len(data) or _checksum(data[at + _HEAD.size : end]) != checksum:
        return None
    return end


def _next_mark(data: bytes, at: int) -> int:
    found = data.find(MARK, at + 1)
    return found if found >= 0 else len(data)


def _entry(payload: bytes) -> Entry | None:
    """None for a record that is whole and yet means nothing here: of a newer version, most likely."""
    try:
        kind, begun_ms, topic_bytes, key_bytes = _BODY.unpack_from(payload)
        if kind != _FACT:
            return None
        key_at = _BODY.size + topic_bytes
        value_at = key_at + key_bytes
        topic = Topic(payload[_BODY.size : key_at].decode())
        return Entry(topic, payload[key_at:value_at].decode("utf-8", "surrogatepass"), payload[value_at:], begun_ms)
    except (struct.error, ValueError):
        return None
