"""What keeps a divert from being answered, above every bundle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.domain.policy import Divert, Flag, Pass, Verdict
from services.policy.verdicts.guards import REPEATS_CALLS_MIN, Grounds, Kept, kept_from, repeats

DESKS = frozenset({"nuisance-desk"})
VERDICTS = st.sampled_from([Pass(), Flag(40, "r", "why"), Divert("nuisance-desk", "r", "why")])
GROUNDS = st.builds(
    Grounds, st.booleans(), st.booleans(), st.booleans(), st.sampled_from([DESKS, frozenset[str]()]), st.booleans()
)
ALL_WELL = Grounds(bypass=False, history=True, first=False, desks=DESKS)


@given(VERDICTS, GROUNDS)
def test_a_call_is_diverted_only_where_every_guard_agrees(proposed: Verdict, grounds: Grounds) -> None:
    """Bypass, taken back, no history, first call, no desk: each is enough; a flag is kept by the bypass alone (L5)."""
    kept = kept_from(proposed, grounds)
    if isinstance(proposed, Divert):
        assert (kept == "") == (grounds == ALL_WELL)
    else:
        assert kept == (Kept.BYPASS if grounds.bypass and isinstance(proposed, Flag) else "")


def test_a_caller_who_repeats_is_known_by_the_number_alone() -> None:
    """A network or a cell in which many call is no caller."""
    assert repeats({"number_calls_600s": REPEATS_CALLS_MIN})
    assert not repeats({"number_calls_600s": REPEATS_CALLS_MIN - 1, "source_calls_600s": 99})
    assert not repeats({})
