"""Who signed what, and how many people something takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.policy import Divert, Flag, Pass, Verdict
from services.policy.bundle import PASSES_ALL, Bundle, Limits, Rule
from services.policy.files.canonical import Action, Order, Signature, of_order
from services.policy.files.reading import BundleRefused
from services.policy.files.signing import (
    SKEW_MS,
    Doubt,
    Keys,
    can_divert_more,
    new_private_key,
    people_for_bundle,
    people_for_order,
    public_key,
    read_keys,
    sign_bundle,
    sign_order,
)
from tests.policy.files import bundle

ANN, BOB, EVE = new_private_key(), new_private_key(), new_private_key()
KEYS = Keys({"ann": bytes.fromhex(public_key(ANN)), "bob": bytes.fromhex(public_key(BOB))})
NOW = 1_800_000_000_000
DAY = 86_400_000


def signers(signatures: list[Signature], now: int = NOW, of: Bundle | None = None) -> frozenset[str]:
    of = of or bundle()
    return KEYS.of_bundle(of.version, of.digest, signatures, now).signers


def test_two_people_count_and_one_who_signs_twice_does_not() -> None:
    """Two people for anything that can divert more."""
    ann, bob = sign_bundle(ANN, "ann", bundle(), NOW, DAY), sign_bundle(BOB, "bob", bundle(), NOW, DAY)
    assert signers([ann, bob]) == {"ann", "bob"}
    assert signers([ann, sign_bundle(ANN, "ann", bundle(), NOW + 1, DAY)]) == {"ann"}
    assert "expected 2 different people's signatures, 1 count" in KEYS.of_bundle(7, bundle().digest, [ann], NOW).lacks(
        2
    )


def test_one_person_cannot_sign_in_anothers_name() -> None:
    """The name is in what is signed, and the key is the name's."""
    forged = replace(sign_bundle(ANN, "ann", bundle(), NOW, DAY), signer="bob")
    assert KEYS.of_bundle(7, bundle().digest, [forged], NOW).doubts == (("bob", Doubt.WRONG),)
    assert KEYS.of_bundle(7, bundle().digest, [sign_bundle(ANN, "bob", bundle(), NOW, DAY)], NOW).signers == frozenset()


@pytest.mark.parametrize(
    ("signature", "doubt"),
    [
        (sign_bundle(EVE, "eve", bundle(), NOW, DAY), Doubt.UNKNOWN_SIGNER),
        (sign_bundle(EVE, "ann", bundle(), NOW, DAY), Doubt.WRONG),
        (sign_bundle(ANN, "ann", bundle(8), NOW, DAY), Doubt.WRONG),
        (sign_bundle(ANN, "ann", bundle(), NOW - DAY, DAY), Doubt.EXPIRED),
        (sign_bundle(ANN, "ann", bundle(), NOW + SKEW_MS + 1, DAY), Doubt.FROM_THE_FUTURE),
        (Signature("ann", NOW, NOW + DAY, b""), Doubt.WRONG),
        (replace(sign_bundle(ANN, "ann", bundle(), NOW, 1), expires_ms=NOW + DAY), Doubt.WRONG),
    ],
)
def test_a_signature_that_does_not_count_says_why(signature: Signature, doubt: Doubt) -> None:
    """Unsigned, wrong, expired: each is told apart."""
    signed = KEYS.of_bundle(7, bundle().digest, [signature], NOW)
    assert (signed.signers, signed.doubts) == (frozenset(), ((signature.signer, doubt),))
    assert doubt.value in signed.lacks(1)


def test_a_bundles_signature_is_none_of_an_order() -> None:
    """Each statement begins with its kind."""
    order = Order(Action.PROMOTE, NOW, 7, bundle().digest)
    assert KEYS.of_order(order, [sign_bundle(ANN, "ann", bundle(), NOW, DAY)], NOW).signers == frozenset()
    assert KEYS.of_order(order, [sign_order(ANN, "ann", order, NOW)], NOW).signers == {"ann"}
    forced = replace(order, force=True)
    assert KEYS.of_order(forced, [sign_order(ANN, "ann", order, NOW)], NOW).signers == frozenset()
    assert (people_for_order(order), people_for_order(forced)) == (1, 2)


ORDERS = st.builds(
    Order,
    st.sampled_from(Action),
    st.integers(0, 9),
    st.integers(0, 9),
    st.text(max_size=3),
    st.booleans(),
    st.text(max_size=3),
)


@given(ORDERS, ORDERS, st.text(max_size=3), st.text(max_size=3))
def test_different_orders_have_different_bytes(one: Order, other: Order, signer: str, another: str) -> None:
    """Canonical: one form for each meaning, and one meaning for each form."""
    same = of_order(one, signer, 1, 2) == of_order(other, another, 1, 2)
    assert same == ((one, signer) == (other, another))


def test_keys_are_read_strictly() -> None:
    """A key of 64 hex digits a name; two names of one key would be one person twice."""
    ann = public_key(ANN)
    assert read_keys(f"ann: {ann}\nbob: {public_key(BOB)}\n".encode()).names == ("ann", "bob")
    for wrong in (f"ann: {ann[:-1]}\n", f"ann: {ann}\nann: {ann}\n", f"ann: {ann}\nbob: {ann}\n", "ann: [x]\n", "%\n"):
        with pytest.raises(BundleRefused):
            read_keys(wrong.encode())


WHEN = ["a", "b", "c"]
VERDICTS = st.sampled_from([Pass(), Flag(10, "r", "r"), Divert("desk", "r", "r"), Divert("other", "r", "r")])
RULES = st.lists(
    st.builds(lambda when, verdict: Rule(f"r{when}", "r", when, verdict, "o", 0.1, 1), st.sampled_from(WHEN), VERDICTS),
    max_size=5,
)


def said(rules: tuple[Rule, ...], true: set[str]) -> Verdict:
    return next((rule.verdict for rule in rules if rule.when in true), Pass())


@given(RULES, RULES, st.data())
def test_what_one_person_may_sign_never_diverts_a_call_that_was_not(
    live: list[Rule], more: list[Rule], data: st.DataObject
) -> None:
    """Against every answer that conditions can give: a candidate that needs one person diverts no further call."""
    kept = data.draw(st.lists(st.sampled_from(live), max_size=5)) if live else []
    before, after = Bundle("a", 1, "x", tuple(live)), Bundle("a", 2, "x", tuple(kept + more))
    if not can_divert_more(before, after):
        for true in ({"a"}, {"b"}, {"c"}, {"a", "b"}, {"a", "c"}, {"b", "c"}, {"a", "b", "c"}):
            if isinstance(said(after.rules, true), Divert):
                assert isinstance(said(before.rules, true), Divert)


def test_only_to_divert_less_takes_one_person() -> None:
    """Conservative: a changed rule, list or limit takes two; a removed divert, or a flag more, takes one."""
    seven = bundle()
    assert people_for_bundle(PASSES_ALL, seven) == 2
    assert people_for_bundle(seven, bundle(8)) == 1
    assert people_for_bundle(seven, replace(seven, version=8, rules=())) == 1
    assert people_for_bundle(seven, bundle(8, verdict="{flag: 90}")) == 1
    assert people_for_bundle(bundle(verdict="{flag: 90}"), seven) == 2
    assert people_for_bundle(seven, bundle(8, when="number in lists.nuisance")) == 2
    assert people_for_bundle(seven, bundle(8, verdict="{divert: other-desk}")) == 2
    assert people_for_bundle(seven, bundle(8, lists="{nuisance: {kind: number, items: [+15085550198]}}")) == 2
    assert people_for_bundle(seven, bundle(8, limits="{diverted_share: 0.03}")) == 2
    assert people_for_bundle(seven, bundle(8, limits="{diverted_share: 0.01}")) == 1
    guard = Rule("guard", "r", "source == 'a'", Pass(), "o", 1.0, 2**52)
    guarded = replace(seven, rules=(guard, *seven.rules))
    assert people_for_bundle(seven, guarded) == 1
    assert people_for_bundle(guarded, seven) == 2
    assert can_divert_more(guarded, replace(seven, limits=Limits(0.01)))
