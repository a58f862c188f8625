"""Attestations as messages and back, and what several of them say together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.domain.holding import NONE, UNKNOWN, Holding, Standing, furthest
from services.domain.where import Where
from services.wire import holding

texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
holdings = st.builds(Holding, st.sampled_from(Standing), texts, st.none() | st.builds(Where, texts, texts))


@given(holdings)
def test_an_attestation_survives_its_message(attested: Holding) -> None:
    """WhoHas and Resume say what was attested."""
    assert holding.to_domain(holding.who_has_response(attested)) == attested
    assert holding.to_domain(holding.resume_response(attested)) == attested


def test_an_attested_place_is_cut_like_every_text() -> None:
    """It becomes a fact, which the journal must be able to take (T3)."""
    endless = Holding(Standing.CONNECTED, "call-1/1/1", Where("P" * 700_000, "5" * 700_000))
    read = holding.to_domain(holding.who_has_response(endless))
    assert read.where == Where("P" * 256, "5" * 256)


@given(st.lists(holdings))
def test_not_here_is_said_only_when_everybody_says_it(attested: list[Holding]) -> None:
    """T3: one that cannot say leaves it unknown; whoever has it is believed; nobody asked is unknown too."""
    together = furthest(attested)
    if any(each.standing is Standing.CONNECTED for each in attested):
        assert together.standing is Standing.CONNECTED
    elif together.standing is Standing.NONE:
        assert attested and {each.standing for each in attested} == {Standing.NONE}
    elif together.standing is Standing.UNKNOWN:
        assert {each.standing for each in attested} <= {Standing.UNKNOWN, Standing.NONE}


def test_nobody_and_nothing() -> None:
    """The two ends of it."""
    assert furthest([]) == UNKNOWN
    assert furthest([NONE, NONE]) == NONE
