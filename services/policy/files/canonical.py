"""What people sign, as bytes of which there is one form only.

A signature must say what was meant and nothing else: which bundle, byte for byte, or which order, by whom and until
when. Each statement begins with its kind, and each text with its length, so that no bytes read as two statements.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Final

_BUNDLE: Final = b"throughline policy bundle 1\n"
_ORDER: Final = b"throughline policy order 1\n"


class Action(IntEnum):
    """What an order can be; the numbers are the wire's."""

    SHADOW = 1
    CANARY = 2
    PROMOTE = 3
    REVERT = 4
    BYPASS_ON = 5
    BYPASS_OFF = 6

    @property
    def names_bundle(self) -> bool:
        """Whether it means one bundle; the others mean whatever stands."""
        return self in (Action.SHADOW, Action.CANARY, Action.PROMOTE)


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator wants of the firewalls. `force` takes it past the gates, and takes two people."""

    action: Action
    made_ms: int
    version: int = 0
    digest: str = ""
    force: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """One person's, from `signed_ms` until before `expires_ms`, both in milliseconds since 1970."""

    signer: str
    signed_ms: int
    expires_ms: int
    ed25519: bytes


def of_bundle(version: int, digest: str, signer: str, signed_ms: int, expires_ms: int) -> bytes:
    """The bytes that sign a bundle: its version and the SHA-256 of its file."""
    return _BUNDLE + struct.pack(">Q", version) + _texts(digest, signer) + struct.pack(">qq", signed_ms, expires_ms)


def of_order(order: Order, signer: str, signed_ms: int, expires_ms: int) -> bytes:
    """The bytes that sign an order."""
    return _said(order) + _texts(signer) + struct.pack(">qq", signed_ms, expires_ms)


def identity(order: Order) -> str:
    """The same for whoever signs it: with a signature more or fewer it is no other order."""
    return sha256(_said(order)).hexdigest()


def _said(order: Order) -> bytes:
    head = struct.pack(">BQq?", order.action, order.version, order.made_ms, order.force)
    return _ORDER + head + _texts(order.digest, order.why)


def _texts(*texts: str) -> bytes:
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"".join(struct.pack(">I", len(each)) + each for each in encoded)
