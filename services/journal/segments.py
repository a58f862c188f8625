"""What a segment of the spool looks like in bytes, and how to read one that a crash has torn or a disk has damaged.

Pure. A segment begins with its header, written twice: `name of the format | salt | crc32`. A record is
`mark | length | crc32 | kind | body`; the length counts kind and body, the checksum covers salt, length, kind and body.
The mark is there for reading on behind damage: whatever cannot be read up to the next whole record is handed out as it
is, so that nothing is dropped in silence.

Bodies hold bytes of a caller's choice, and reading on searches damaged ones. So mark and checksum come of the salt,
which is drawn for each segment and told to nobody: no caller can write a record into a body.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from services.journal import Topic

SALT_BYTES: Final = 16
CHECKED_TIMES_MAX: Final = 4
"""Reading checks at most so many times the segment's own bytes; what is left then goes aside."""
_FORMAT: Final = b"TLspool2"
_OPENING: Final = struct.Struct(f"<8s{SALT_BYTES}sI")
HEADER_BYTES: Final = 2 * _OPENING.size
_MARK_BYTES: Final = 8
_HEAD: Final = struct.Struct(f"<{_MARK_BYTES}sII")
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


def header(salt: bytes) -> bytes:
    """What a segment begins with; twice, since without its salt nothing in it can be read."""
    return 2 * _OPENING.pack(_FORMAT, salt, zlib.crc32(_FORMAT + salt))


def payload_of(entry: Entry) -> bytes:
    """What a record says, whichever segment it will stand in."""
    topic, key = entry.topic.encode(), entry.key.encode("utf-8", "surrogatepass")
    return b"".join((_BODY.pack(_FACT, entry.begun_ms, len(topic), len(key)), topic, key, entry.value))


def record(payload: bytes, salt: bytes) -> bytes:
    """The record's bytes in the segment with this salt."""
    return _HEAD.pack(salt[:_MARK_BYTES], len(payload), _checksum(payload, salt)) + payload


def record_bytes(payload: bytes) -> int:
    """How many bytes that record has."""
    return _HEAD.size + len(payload)


def read(data: bytes) -> Reading:
    """Every whole record, in order, and what lies between and behind them."""
    if len(data) < HEADER_BYTES:
        return Reading((), (), data)
    halves = (data[: _OPENING.size], data[_OPENING.size : HEADER_BYTES])
    salts = [salt for half in halves if (salt := _salt_of(half)) is not None]
    if not salts:
        return Reading((), (data,), b"")
    salt = salts[0]
    entries: list[Entry] = []
    damaged = [half for half in halves if _salt_of(half) is None]
    at, bad_from = HEADER_BYTES, -1
    left_bytes = CHECKED_TIMES_MAX * len(data)
    while at < len(data):
        whole_end = _claimed_end(data, at, salt)
        end = None
        if whole_end is not None:
            left_bytes -= whole_end - at
            if left_bytes < 0:
                bad_from = bad_from if bad_from >= 0 else at
                break
            end = whole_end if _holds(data, at, whole_end, salt) else None
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
        at = end if end is not None else _next_mark(data, at, salt)
    return Reading(tuple(entries), tuple(damaged), data[bad_from:] if bad_from >= 0 else b"")


def _salt_of(half: bytes) -> bytes | None:
    name, salt, checksum = _OPENING.unpack(half)
    return bytes(salt) if name == _FORMAT and zlib.crc32(_FORMAT + salt) == checksum else None


def _checksum(payload: bytes, salt: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_LENGTH.pack(len(payload)), zlib.crc32(salt)))


def _claimed_end(data: bytes, at: int, salt: bytes) -> int | None:
    """Where the record that begins here says that it ends; None where none begins, or the data ends before it."""
    if len(data) - at < _HEAD.size:
        return None
    mark, length, _ = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + int(length)
    return end if mark == salt[:_MARK_BYTES] and end <= len(data) else None


def _holds(data: bytes, at: int, end: int, salt: bytes) -> bool:
    _, _, checksum = _HEAD.unpack_from(data, at)
    return _checksum(data[at + _HEAD.size : end], salt) == int(checksum)


def _next_mark(data: bytes, at: int, salt: bytes) -> int:
    found = data.find(salt[:_MARK_BYTES], at + 1)
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
