"""Who signed: operators' keys, signatures over canonical bytes, and how many people something needs.

Ed25519 by `cryptography`. A private key is one file that its owner alone can read; the public ones stand in a file that
every firewall is given: a mapping of names to keys in hex.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.policy.bundle import Bundle, Rule
from services.policy.files.canonical import Action, Order, Signature, of_bundle, of_order
from services.policy.files.strict_yaml import NAME_CHARS_MAX, Cursor, FileRefused, text_of

TWO: Final = 2
SIGNATURES_MAX: Final = 16
"""Of one bundle or order that are looked at."""
SKEW_MS: Final = 60_000
"""How far an operator's clock may be ahead of a firewall's."""
ORDER_VALID_MS: Final = 10 * 60_000
"""How long an order may be under way, from when it was made."""
VALID_MIN_MS: Final = 60 * 60_000
"""Of a bundle's signature: a shorter one ends before a canary does."""
VALID_MAX_MS: Final = 90 * 86_400_000
"""A longer one would outlive its signer's memory of what it was for; signed again, it is looked at again."""
KEYS_BYTES_MAX: Final = 64 * 1024
KEYS_MAX: Final = 200

_HEX: Final = re.compile(r"[0-9a-f]{64}")


class Doubt(StrEnum):
    """What is wrong with a signature."""

    UNKNOWN_SIGNER = "unknown signer"
    WRONG = "wrong"
    EXPIRED = "expired"
    FROM_THE_FUTURE = "from the future"


@dataclass(frozen=True, slots=True)
class Signed:
    """Whose signatures count, and why the others do not."""

    signers: frozenset[str]
    doubts: tuple[tuple[str, Doubt], ...] = ()

    def lacks(self, needed: int) -> str:
        """Why these are not enough; empty where they are."""
        if len(self.signers) >= needed:
            return ""
        told = "".join(f"; {signer[:NAME_CHARS_MAX]}: {doubt}" for signer, doubt in self.doubts)
        return f"expected {needed} different people's signatures, {len(self.signers)} count{told}"


class Keys:
    """The operators' public keys by name; two names with one key are refused, since they would be one person."""

    def __init__(self, raw: Mapping[str, bytes]) -> None:
        if len(set(raw.values())) < len(raw):
            raise FileRefused(0, "two operators have the same key", "one person, one key, one name")
        self._keys = {name: Ed25519PublicKey.from_public_bytes(key) for name, key in raw.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Who may sign."""
        return tuple(sorted(self._keys))

    def of_bundle(self, version: int, digest: str, signatures: Iterable[Signature], now_ms: int) -> Signed:
        """Who has signed this bundle."""
        return self._signed(
            signatures, now_ms, lambda s: of_bundle(version, digest, s.signer, s.signed_ms, s.expires_ms)
        )

    def of_order(self, order: Order, signatures: Iterable[Signature], now_ms: int) -> Signed:
        """Who has signed this order."""
        return self._signed(signatures, now_ms, lambda s: of_order(order, s.signer, s.signed_ms, s.expires_ms))

    def _signed(self, signatures: Iterable[Signature], now_ms: int, said: Callable[[Signature], bytes]) -> Signed:
        signers = set()
        doubts = []
        for _, signature in zip(range(SIGNATURES_MAX), signatures, strict=False):
            doubt = self._doubt(signature, said(signature), now_ms)
            if doubt is None:
                signers.add(signature.signer)
            else:
                doubts.append((signature.signer, doubt))
        return Signed(frozenset(signers), tuple(each for each in doubts if each[0] not in signers))

    def _doubt(self, signature: Signature, said: bytes, now_ms: int) -> Doubt | None:
        key = self._keys.get(signature.signer)
        if key is None:
            return Doubt.UNKNOWN_SIGNER
        try:
            key.verify(signature.ed25519, said)
        except InvalidSignature:
            return Doubt.WRONG
        if signature.signed_ms > now_ms + SKEW_MS:
            return Doubt.FROM_THE_FUTURE
        return None if now_ms < signature.expires_ms else Doubt.EXPIRED


NO_KEYS: Final = Keys({})
"""Nobody can sign: whatever is asked is refused, and the built-in bundle stays."""


def read_keys(content: bytes) -> Keys:
    """The file of operators' public keys, `name: <64 hex digits>` a line; raises FileRefused."""
    cursor = Cursor(text_of(content, KEYS_BYTES_MAX))
    raw = {}
    for name, line in cursor.entries(cursor.begin(), KEYS_MAX, "keys"):
        event, key = cursor.scalar()
        if not name.isprintable() or len(name) > NAME_CHARS_MAX:
            raise FileRefused(line, "a name of too many or odd characters", f"use 1 to {NAME_CHARS_MAX} printable ones")
        if _HEX.fullmatch(key) is None:
            raise cursor.refuse(event, f"{name}: no public key", "write the 64 hex digits that keygen printed")
        raw[name] = bytes.fromhex(key)
    cursor.end()
    return Keys(raw)


def new_private_key() -> str:
    """A fresh private key, 64 hex digits: for a file of mode 0600."""
    return Ed25519PrivateKey.generate().private_bytes_raw().hex()


def public_key(private: str) -> str:
    """The public half in hex; raises ValueError where `private` is no key."""
    return _private(private).public_key().public_bytes_raw().hex()


def sign_bundle(private: str, signer: str, bundle: Bundle, now_ms: int, valid_ms: int) -> Signature:
    """One person's signature of a bundle, good for `valid_ms`."""
    said = of_bundle(bundle.version, bundle.digest, signer, now_ms, now_ms + valid_ms)
    return Signature(signer, now_ms, now_ms + valid_ms, _private(private).sign(said))


def sign_order(private: str, signer: str, order: Order, now_ms: int, valid_ms: int = ORDER_VALID_MS) -> Signature:
    """One person's signature of an order."""
    said = of_order(order, signer, now_ms, now_ms + valid_ms)
    return Signature(signer, now_ms, now_ms + valid_ms, _private(private).sign(said))


def people_for_order(order: Order) -> int:
    """How many people an order takes, past the gates two. Who must have signed its bundle is counted apart."""
    return TWO if order.force else 1


def people_for_bundle(live: Bundle, candidate: Bundle) -> int:
    """How many people must have signed a bundle that follows the live one."""
    return TWO if can_divert_more(live, candidate) else 1


def can_divert_more(live: Bundle, candidate: Bundle) -> bool:
    """Whether there may be a call that the candidate diverts and the live bundle does not; yes where in doubt.

    The first rule that is true speaks. So a candidate diverts no more where each of its diverting rules is one of the
    live bundle's, in the same order, and still stands behind every rule that could speak before it. Every list must be
    the same, since a rule's text may name any, and no limit higher.
    """
    if not any(rule.diverts for rule in candidate.rules):
        return False
    known = all(
        each.name in live.lists and live.lists[each.name].items == each.items for each in candidate.lists.values()
    )
    named = all(
        name in candidate.lists or not any(name in rule.when for rule in candidate.rules) for name in live.lists
    )
    limited = (
        candidate.limits.diverted_share <= live.limits.diverted_share
        and candidate.limits.psap_diverted_share <= live.limits.psap_diverted_share
    )
    if not (known and named and limited):
        return True
    before = {_said(rule): at for at, rule in enumerate(live.rules)}
    places = []
    guards: set[tuple[object, ...]] = set()
    for rule in candidate.rules:
        if not rule.diverts:
            guards.add(_said(rule))
            continue
        at = before.get(_said(rule))
        if at is None or any(_said(each) not in guards for each in live.rules[:at] if not each.diverts):
            return True
        places.append(at)
    return any(one >= other for one, other in pairwise(places))


def _said(rule: Rule) -> tuple[object, ...]:
    """Everything of a rule that decides whether it speaks and how far it is trusted."""
    return rule.rule_id, rule.when, rule.verdict, rule.forecast_share, rule.expires_ms


def _private(private: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(private.strip()))


__all__ = [
    "Action",
    "Doubt",
    "Keys",
    "Signed",
    "can_divert_more",
    "new_private_key",
    "people_for_bundle",
    "people_for_order",
    "public_key",
    "read_keys",
    "sign_bundle",
    "sign_order",
]
