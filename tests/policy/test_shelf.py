"""The topic `policy`, read: who can write to it fills no memory, and takes nothing back that was whole or signed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.domain.publication import NUMBER_MAX, PART_BYTES_MAX, Part, parts_of
from services.policy.bundle import Bundle
from services.policy.files.canonical import Signature
from services.policy.files.reading import BYTES_MAX, read_bundle
from services.policy.files.signing import Keys, new_private_key, public_key, sign_bundle
from services.policy.life import shelf as shelves
from services.policy.life.lifecycle import Pointer, State
from services.policy.life.shelf import Shelf, SignedBy, Submitted
from tests.policy.files import text

NOW = 1_800_000_000_000
DAY_MS = 86_400_000
PRIVATE = {name: new_private_key() for name in ("ann", "bob", "mallory")}
KEYS = Keys({name: bytes.fromhex(public_key(PRIVATE[name])) for name in ("ann", "bob")})


def vouches(signed: SignedBy) -> bool:
    """As a firewall does: by ann's and bob's keys."""
    of, signature = signed.pointer, signed.signature
    return bool(KEYS.of_bundle(of.version, of.digest, [signature], signature.signed_ms).signers)


def bundle_of(version: int) -> tuple[Bundle, Pointer, bytes]:
    content = text(version).encode()
    bundle = read_bundle(content)
    return bundle, Pointer(version, bundle.digest), content


def signed(bundle: Bundle, *signers: str, valid_ms: int = DAY_MS) -> list[SignedBy]:
    pointer = Pointer(bundle.version, bundle.digest)
    return [SignedBy(pointer, sign_bundle(PRIVATE[who], who, bundle, NOW, valid_ms)) for who in signers]


def with_seven() -> tuple[Shelf, Pointer, bytes]:
    """One bundle, handed in and signed by two."""
    shelf = Shelf(vouches)
    bundle, pointer, content = bundle_of(7)
    for part in parts_of(content):
        shelf.put(part)
    shelf.put(Submitted(pointer, len(content), "nuisance", "a person", NOW))
    for each in signed(bundle, "ann", "bob"):
        shelf.put(each)
    return shelf, pointer, content


def noise(number: int, size: int = 1_000, parts: int = 2) -> Part:
    return Part(f"{number:064x}", 0, parts, b"x" * size)


def test_content_is_found_by_the_bundle_it_is_of() -> None:
    """A part that is missing or another leaves none; written again, all of it is there."""
    content = text().encode() + b"#" * 600_000
    first, *others = parts_of(content)
    shelf = Shelf()
    seven = Pointer(7, first.sha256)
    shelf.put(first)
    assert shelf.content(seven) is None
    shelf.put(replace(others[0], content=b"forged"))
    shelf.put(others[1])
    assert shelf.content(seven) is None
    for part in (first, *others):
        shelf.put(part)
    assert shelf.content(seven) == content


def test_what_is_whole_is_not_torn_by_a_part_that_says_something_else() -> None:
    """A stranger wrote another part of the live bundle: a firewall could not have kept it, nor read it again."""
    shelf, seven, content = with_seven()
    shelf.put(replace(parts_of(content)[0], content=b"forged"))
    assert shelf.content(seven) == content


def test_a_signature_is_not_taken_back_by_one_that_is_none() -> None:
    """Under ann's name, by another key; then her own that expires sooner, said again; then twenty strangers'."""
    shelf, seven, _ = with_seven()
    bundle, _, _ = bundle_of(7)
    before = shelf.signatures(seven)
    assert [each.signer for each in before] == ["ann", "bob"]
    shelf.put(SignedBy(seven, replace(before[0], ed25519=b"x" * 64)))
    shelf.put(*signed(bundle, "ann", valid_ms=1))
    for number in range(20):
        shelf.put(SignedBy(seven, Signature(f"stranger-{number}", NOW, NOW + DAY_MS, b"y" * 64)))
    assert shelf.signatures(seven)[:2] == before
    longer = signed(bundle, "ann", valid_ms=2 * DAY_MS)
    shelf.put(*longer)
    assert shelf.signatures(seven)[0] == longer[0].signature


def test_a_signature_that_is_none_is_still_told() -> None:
    """So that an operator hears `wrong` and not merely `unsigned`."""
    shelf = Shelf(vouches)
    nine = Pointer(9, "9" * 64)
    forged = Signature("ann", NOW, NOW + DAY_MS, b"x" * 64)
    shelf.put(SignedBy(nine, forged))
    assert shelf.signatures(nine) == (forged,)


def test_what_a_stranger_calls_a_version_bars_none() -> None:
    """2**53, handed in by nobody who is known: the next version would never come. Signed, it counts."""
    shelf, seven, _ = with_seven()
    shelf.put(Submitted(Pointer(NUMBER_MAX, "f" * 64), 1, "x", "x", NOW))
    shelf.put(SignedBy(Pointer(NUMBER_MAX, "f" * 64), Signature("mallory", NOW, NOW + DAY_MS, b"x" * 64)))
    assert shelf.version_max == seven.version
    bundle, nine, _ = bundle_of(9)
    shelf.put(*signed(bundle, "ann"))
    shelf.put(Submitted(nine, 1, "x", "x", NOW))
    assert shelf.version_max == 9


@pytest.mark.parametrize("size", [0, 1_000, PART_BYTES_MAX])
@pytest.mark.parametrize("parts", [1, 2])
def test_parts_that_nobody_handed_in_fill_no_memory(size: int, parts: int) -> None:
    """Thousands of orphans, whole or not, by no bundle's name: what two people signed stays."""
    shelf, seven, content = with_seven()
    most = 0
    for number in range(3_000):
        part = noise(number, size, parts)
        shelf.put(parts_of(part.content + b"%d" % number)[0] if parts == 1 else part)
        most = max(most, shelf.held_bytes)
    assert most <= shelves.CONTENT_BYTES_MAX + 3 * shelves.LOOSE_BYTES_MAX
    assert len(shelf._parts) <= shelves.PARTS_MAX
    shelf.forget()
    assert shelf.held_bytes <= 2 * shelves.LOOSE_BYTES_MAX + len(content)
    assert shelf.content(seven) == content


def test_a_bundle_that_is_larger_than_any_may_be_is_not_held() -> None:
    """Its parts make way by themselves."""
    shelf, seven, content = with_seven()
    huge = b"x" * (BYTES_MAX + 1)
    for part in parts_of(huge):
        shelf.put(part)
    assert shelf.held_bytes == len(content)
    assert shelf.content(seven) == content


def test_bundles_and_signatures_of_strangers_fill_no_memory() -> None:
    """Their room is small, and what two people signed is not in it."""
    shelf, seven, _ = with_seven()
    for number in range(5_000):
        forged = Pointer(10 + number, f"{number:064x}")
        shelf.put(Submitted(forged, 1, "x", "x", NOW))
        shelf.put(SignedBy(forged, Signature("ann", NOW, NOW + DAY_MS, b"x")))
    assert len(shelf.bundles) <= shelves.LOOSE_MAX + 1
    assert len(shelf._doubtful) <= shelves.LOOSE_MAX
    assert shelf.submitted(seven) is not None and len(shelf.signatures(seven)) == 2


def test_of_very_many_signed_bundles_the_lowest_makes_way_and_never_what_stands() -> None:
    """Ten years of policies."""
    shelf = Shelf()
    shelf.put(State(serial=1, live=Pointer(1, f"{1:064x}")))
    for version in range(1, shelves.BUNDLES_MAX + 100):
        pointer = Pointer(version, f"{version:064x}")
        shelf.put(Submitted(pointer, 1, "x", "x", NOW))
        shelf.put(SignedBy(pointer, Signature("ann", NOW, NOW + DAY_MS, b"x")))
    assert len(shelf.bundles) <= shelves.BUNDLES_MAX
    assert shelf.submitted(Pointer(1, f"{1:064x}")) is not None
    assert shelf.submitted(Pointer(2, f"{2:064x}")) is None
