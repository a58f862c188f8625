"""The records of the topic `policy`: what is written is read again, and what a stranger wrote is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from throughline.v1 import policy_pb2

from services.domain.publication import NUMBER_MAX, Part
from services.policy.files.canonical import Action, Order, Signature
from services.policy.life.latest import Latest
from services.policy.life.lifecycle import Pointer, Stage, State, Warrant
from services.policy.life.shelf import Entry, SignedBy, Submitted
from services.wire.methods import Unreadable
from services.wire.policy_records import encode, order_to_domain, order_to_wire, read

NUMBERS = st.integers(0, NUMBER_MAX)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
POINTERS = st.builds(Pointer, st.integers(1, NUMBER_MAX), DIGESTS)
TEXTS = st.text(max_size=20)
SIGNATURES = st.builds(Signature, TEXTS, NUMBERS, NUMBERS, st.binary(max_size=64))
ORDERS = st.builds(Order, st.sampled_from(Action), NUMBERS, st.integers(1, NUMBER_MAX), DIGESTS, st.booleans(), TEXTS)
STATES = st.builds(
    State,
    st.integers(1, NUMBER_MAX),
    st.one_of(POINTERS, st.just(Pointer(0, ""))),
    st.one_of(POINTERS, st.just(Pointer(0, ""))),
    st.one_of(POINTERS, st.none()),
    st.sampled_from(Stage),
    st.integers(0, 19),
    NUMBERS,
    st.lists(DIGESTS, max_size=3).map(tuple),
    st.booleans(),
    st.builds(Latest, NUMBERS, st.lists(DIGESTS, max_size=3).map(tuple)),
    NUMBERS,
    TEXTS,
    TEXTS,
    st.lists(st.builds(Warrant, ORDERS, st.lists(SIGNATURES, max_size=2).map(tuple)), max_size=4).map(tuple),
)
PARTS = st.builds(
    lambda digest, number, content: Part(digest, number, number + 1, content),
    DIGESTS,
    st.integers(0, 20),
    st.binary(max_size=40),
)
ENTRIES = st.one_of(
    STATES,
    PARTS,
    st.builds(Submitted, POINTERS, NUMBERS, TEXTS, TEXTS, NUMBERS),
    st.builds(SignedBy, POINTERS, SIGNATURES),
)


@given(ENTRIES)
def test_what_is_written_is_read_again(entry: Entry) -> None:
    """Every record, with every value that may be."""
    assert read(*encode(entry, "firewall-1-x-1")) == entry


@given(ENTRIES, ENTRIES)
def test_a_record_under_anothers_key_is_refused(entry: Entry, other: Entry) -> None:
    """The key follows from the value, so that compaction keeps one of each."""
    key, other_key = encode(entry, "w")[0], encode(other, "w")[0]
    if type(entry) is type(other) and key != other_key:
        with pytest.raises(Unreadable):
            read(other_key, encode(entry, "w")[1])


@given(st.sampled_from(["state/1/w", "bundle/1/x", "item/x/0", "signature/x/y", "what/ever"]), st.binary(max_size=60))
def test_any_bytes_are_a_record_or_unreadable(key: str, value: bytes) -> None:
    """Nothing else comes out; a kind that is not known is passed over."""
    try:
        entry = read(key, value)
    except Unreadable:
        return
    assert entry is None or encode(entry, "w")[0] == key


def test_numbers_past_all_meaning_are_refused() -> None:
    """Else the next one could not be written."""
    for state in (
        policy_pb2.PolicyState(serial=NUMBER_MAX + 1),
        policy_pb2.PolicyState(serial=1, at_ms=-1),
        policy_pb2.PolicyState(serial=1, live=policy_pb2.PolicyPointer(version=1)),
        policy_pb2.PolicyState(serial=1, live=policy_pb2.PolicyPointer(version=2**60, sha256="0" * 64)),
        policy_pb2.PolicyState(serial=1, quarantined=["x"] * 1_000),
    ):
        with pytest.raises(Unreadable):
            read(f"state/{state.serial}/w", state.SerializeToString())


@given(st.sampled_from(Action), NUMBERS, st.integers(1, NUMBER_MAX), DIGESTS, st.booleans(), TEXTS)
def test_an_order_arrives_as_it_was_signed(
    action: Action, made: int, version: int, digest: str, force: bool, why: str
) -> None:
    """Every field is in the canonical bytes, so none may change on the way."""
    order = Order(action, made, version, digest, force, why)
    assert order_to_domain(order_to_wire(order)) == order


def test_an_order_that_means_nothing_here_is_none() -> None:
    """An action of a later version; a bundle without its SHA-256."""
    assert order_to_domain(policy_pb2.Order(action=policy_pb2.ACTION_UNSPECIFIED)) is None
    assert order_to_domain(policy_pb2.Order(action=policy_pb2.ACTION_PROMOTE, version=7)) is None
    assert order_to_domain(policy_pb2.Order(action=policy_pb2.ACTION_PROMOTE, sha256="0" * 64)) is None
