"""What can be saved of an offer whose bytes are too many or are no message (protocol.md P6).

An unreadable offer is still a call with a person behind it, and its id, number and place are often whole: the caller's
number is what a callback needs. So the bytes are skimmed field by field, as the wire format is laid out, within limits
that do not depend on the sender: 64 fields, values stepped over without being looked at, nothing copied past 64 KiB.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from google.protobuf.message import DecodeError
from throughline.v1 import place_pb2

from services.domain.offer import Attestation, Offer
from services.domain.place import Place
from services.wire.methods import PARSE_BYTES_MAX
from services.wire.offers import CALL_ID_CHARS_MAX, POLYGON_TOO_LARGE, TEXT_CHARS_MAX, call_id_or_none, place_to_domain

FIELDS_MAX: Final = 64
_TEXT_BYTES_MAX: Final = TEXT_CHARS_MAX * 4
_UINT32_MAX: Final = 2**32 - 1
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5  # wire types; groups (3 and 4) are long out of use

# Field numbers of PlaceCallRequest, Offer and Place.
_OFFER: Final = 1
_CALL_ID, _LEG, _CALLER, _SERVICE_URN, _PLACE, _SOURCE = 1, 2, 3, 4, 5, 7
_POLYGON_TAG: Final = 2 << 3 | _LENGTH


def salvage(raw: bytes) -> Offer:
    """An offer from the bytes of a PlaceCallRequest: the fields that could be read, the others empty.

    `call_id` is empty where none could be read whole: the caller of this function mints one. Never raises.
    """
    texts = {_CALLER: "", _SERVICE_URN: "", _SOURCE: ""}
    call_id, leg, place = "", 1, None
    for number, value in _fields(_offer_within(memoryview(raw))):
        if number == _LEG and isinstance(value, int):
            leg = min(value, _UINT32_MAX) or 1
        elif isinstance(value, int):
            continue
        elif number == _CALL_ID:
            call_id = _call_id(value)
        elif number in texts:
            texts[number] = str(value[:_TEXT_BYTES_MAX], "utf-8", "replace")[:TEXT_CHARS_MAX]
        elif number == _PLACE:
            place = _place(value)
    return Offer(
        call_id,
        leg,
        texts[_CALLER],
        texts[_SERVICE_URN],
        place,
        Attestation.NONE,
        texts[_SOURCE],
        unreadable=True,
    )


def _offer_within(raw: memoryview) -> memoryview:
    """The offer's own bytes in a request, as far as they came."""
    for number, value in _fields(raw):
        if number == _OFFER and not isinstance(value, int):
            return value
    return raw[:0]


def _call_id(value: memoryview) -> str:
    try:
        return call_id_or_none(str(value[: CALL_ID_CHARS_MAX * 4 + 1], "utf-8"))
    except UnicodeDecodeError:
        return ""


def _place(value: memoryview) -> Place:
    if len(value) > PARSE_BYTES_MAX:
        return POLYGON_TOO_LARGE if value[0] == _POLYGON_TAG else None
    message = place_pb2.Place()
    try:
        message.ParseFromString(bytes(value))
    except DecodeError:
        return None
    return place_to_domain(message)


def _fields(raw: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) for at most FIELDS_MAX fields, until one is not laid out as fields are.

    A value longer than what came ends with it: a message that was cut off still says what it says.
    """
    position = 0
    for _ in range(FIELDS_MAX):
        tag, position = _varint(raw, position)
        number, wire_type = tag >> 3, tag & 7
        value: int | memoryview
        if wire_type == _VARINT:
            value, position = _varint(raw, position)
        elif wire_type == _LENGTH:
            length, position = _varint(raw, position)
            value = raw[position : position + length] if position >= 0 else raw[:0]
            position = position + length if position >= 0 else position
        elif wire_type in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if wire_type == _EIGHT_BYTES else 4
            value, position = raw[position : position + length], position + length
        else:
            return
        if tag < 8 or position < 0:
            return
        yield number, value


def _varint(raw: memoryview, position: int) -> tuple[int, int]:
    """(number, position after it); a position of -1 where no varint stands."""
    number = 0
    if position < 0:
        return 0, -1
    for shift, byte in enumerate(raw[position : position + 10]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number, position + shift + 1
    return 0, -1
