"""The comparer: three sound accounts agree, and nothing that matters can be left out of one of them unnoticed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.call_told import Lossy
from loadtest.diary import Diary
from loadtest.lie import without_one
from loadtest.witness import compare, main

Entry = dict[str, Any]
WITNESSES = ("caller", "far-end", "journal")


@dataclass
class Accounts:
    """What the three saw of some calls, as a sound run leaves it; `must` holds the entries that cannot be missed."""

    caller: list[Entry] = field(default_factory=list)
    far_end: list[Entry] = field(default_factory=list)
    journal: list[Entry] = field(default_factory=list)
    must: list[Entry] = field(default_factory=list)

    def of(self, witness: str) -> list[Entry]:
        return {"caller": self.caller, "far-end": self.far_end, "journal": self.journal}[witness]

    def without(self, entry: Entry) -> Accounts:
        caller, far_end, journal = ([each for each in self.of(name) if each is not entry] for name in WITNESSES)
        return Accounts(caller, far_end, journal)


class Told:
    """Writes one call into the accounts."""

    def __init__(self, accounts: Accounts, call_id: str) -> None:
        self.accounts = accounts
        self.call_id = call_id
        self.leg = 0
        self.seq = 0
        self.at_ms = 0.0

    def caller(self, event: str, *, must: bool = True, **more: Any) -> None:
        self.at_ms += 10
        entry = {"event": event, "call_id": self.call_id, "leg": self.leg, "after_ms": self.at_ms, **more}
        self._keep(self.accounts.caller, entry, must)

    def far(self, event: str, attempt: str, where: Entry, *, must: bool = True, **more: Any) -> None:
        self.at_ms += 10
        entry = {"event": event, "call_id": self.call_id, "attempt": attempt, "at_ms": self.at_ms, **where, **more}
        self._keep(self.accounts.far_end, entry, must)

    def fact(self, kind: str, *, must: bool = True, **more: Any) -> None:
        entry = {"event": "fact", "call_id": self.call_id, "leg": self.leg, "writer": "ingress-1", "kind": kind, **more}
        self._keep(self.accounts.journal, {**entry, "seq": self.seq}, must)
        self.seq += 1

    def failover(self, seq: int, kind: str, *, must: bool = True, **more: Any) -> None:
        """A fact of the replicas that take over, who number what they say in their own way."""
        entry = {"event": "fact", "call_id": self.call_id, "leg": self.leg, "writer": "failover", "kind": kind, **more}
        self._keep(self.accounts.journal, {**entry, "seq": seq}, must)

    def outcome(self, outcome: str) -> None:
        self._keep(self.accounts.journal, {"event": "outcome", "call_id": self.call_id, "outcome": outcome}, True)

    def _keep(self, entries: list[Entry], entry: Entry, must: bool) -> None:
        entries.append(entry)
        if must:
            self.accounts.must.append(entry)

    def begin_leg(self) -> None:
        self.leg += 1
        self.seq = 0
        self.caller("offered")
        self.fact("offered")
        self.caller("accepted", must=False)  # needed where the call goes on, as `end` says

    def ring(self, n: int, where: Entry, *, last: bool = False) -> str:
        """`last`: the conductor dies with this, and nobody can know whether it wrote the ringing down."""
        attempt = f"{self.call_id}/{self.leg}/{n}"
        self.fact("attempting", attempt=attempt)
        self.far("offered", attempt, where)
        self.far("ringing", attempt, where)
        self.caller("ringing", must=False, attempt=attempt, **where)
        self.fact("ringing", must=not last, attempt=attempt, **where)
        return attempt

    def connect(self, attempt: str, where: Entry) -> None:
        self.far("answered", attempt, where)
        self.caller("confirmed", attempt=attempt)
        self.far("connected", attempt, where)
        self.fact("diverted" if "line" in where else "answered", attempt=attempt, settled=True, **where)
        self.caller("connected", attempt=attempt, **where)
        self.far("ended", attempt, where, must=False)
        self.outcome("diverted" if "line" in where else "answered")


PSAP: Entry = {"psap_id": "3175"}
LINE: Entry = {"psap_id": "3175", "line": "+16175550100"}
SECOND_LINE: Entry = {"psap_id": "3175", "line": "+16175550101"}


def answered(told: Told) -> None:
    told.begin_leg()
    told.connect(told.ring(1, PSAP), PSAP)


def diverted(told: Told) -> None:
    told.begin_leg()
    refused = f"{told.call_id}/1/1"
    told.far("offered", refused, PSAP, must=False)
    told.far("rejected", refused, PSAP, must=False, rejection="refused")
    told.fact("delivery_failed", attempt=refused)
    told.connect(told.ring(2, LINE), LINE)


def rang_twice(told: Told) -> None:
    told.begin_leg()
    given_up = told.ring(1, PSAP)
    line = told.ring(2, LINE)
    told.connect(line, LINE)
    told.far("cancelled", given_up, PSAP, reason="answered_elsewhere")


def hunted(told: Told) -> None:
    """One attempt of failover's: the first line does not ring in time and is given back, the second is answered."""
    told.begin_leg()
    attempt = f"{told.call_id}/1/1"
    told.far("offered", attempt, LINE, must=False)
    told.far("cancelled", attempt, LINE, must=False, reason="no_ringing_in_time")
    told.connect(told.ring(1, SECOND_LINE), SECOND_LINE)


def hung_up(told: Told) -> None:
    told.begin_leg()
    attempt = told.ring(1, PSAP)
    told.caller("hung_up")
    told.fact("abandoned")
    told.far("cancelled", attempt, PSAP, reason="caller_hung_up")
    told.outcome("callback_open")


def second_leg(told: Told) -> None:
    told.begin_leg()
    told.caller("leg_broken", must=False, why="silent")
    told.begin_leg()
    told.connect(told.ring(1, PSAP), PSAP)


def gave_up(told: Told) -> None:
    told.begin_leg()
    told.caller("leg_broken", must=False, why="UNAVAILABLE")
    told.caller("gave_up")
    told.fact("callback_due")
    told.outcome("callback_open")


def crossed(told: Told) -> None:
    """The caller confirmed, and hung up before hearing of the connection."""
    told.begin_leg()
    attempt = told.ring(1, PSAP)
    told.far("answered", attempt, PSAP)
    told.caller("confirmed", attempt=attempt)
    told.caller("hung_up")
    told.far("connected", attempt, PSAP)
    told.fact("answered", attempt=attempt, **PSAP)
    told.outcome("answered")


def crossed_and_listed(told: Told) -> None:
    """The same, but the conductor heard the hang-up first."""
    told.begin_leg()
    attempt = told.ring(1, PSAP)
    told.far("answered", attempt, PSAP, must=False)
    told.caller("confirmed", attempt=attempt)
    told.caller("hung_up")
    told.far("connected", attempt, PSAP, must=False)
    told.fact("abandoned")
    told.outcome("callback_open")


def crossed_and_let_go(told: Told) -> None:
    """The journal has it as connected; the person was let go of, since nobody was there."""
    crossed(told)
    attempt = f"{told.call_id}/{told.leg}/1"
    told.far("cancelled", attempt, PSAP, must=False, reason="unwanted", stage="connected")


def offered_again(told: Told) -> None:
    """The conductor died while it rang; the next leg rings in place, and the older conductor's tail is missing."""
    told.begin_leg()
    first = told.ring(1, PSAP, last=True)
    told.caller("leg_broken", must=False, why="UNAVAILABLE")
    told.begin_leg()
    told.far("rejected", first, PSAP, must=False, rejection="superseded")
    told.connect(told.ring(1, PSAP), PSAP)


def handed_over(told: Told) -> None:
    """The next leg came to the same process, which lets the older one end for it."""
    told.begin_leg()
    first = told.ring(1, PSAP)
    told.caller("leg_broken", must=False, why="silent")
    told.fact("caller_lost", reason="stream_ended")
    told.fact("ended", must=False, reason="higher_leg")
    told.begin_leg()
    told.far("rejected", first, PSAP, must=False, rejection="superseded")
    told.connect(told.ring(1, PSAP), PSAP)


def resumed(told: Told) -> None:
    """The conductor died after the connection and before the caller heard of it: the next leg finds it standing."""
    told.begin_leg()
    attempt = told.ring(1, PSAP, last=True)
    told.far("answered", attempt, PSAP)
    told.caller("confirmed", attempt=attempt)
    told.far("connected", attempt, PSAP)
    told.caller("leg_broken", must=False, why="UNAVAILABLE")
    told.begin_leg()
    told.fact("answered", attempt=attempt, **PSAP)
    told.caller("connected", attempt=attempt, **PSAP)
    told.outcome("answered")


def attested(told: Told) -> None:
    """The caller is connected, and the conductor died before it wrote that down: who takes over asks the PSAP."""
    told.begin_leg()
    attempt = told.ring(1, PSAP, last=True)
    told.far("answered", attempt, PSAP)
    told.caller("confirmed", attempt=attempt)
    told.far("connected", attempt, PSAP)
    told.caller("connected", attempt=attempt, **PSAP)
    told.failover(0, "taken_over", reason="stream_broken by failover-1")
    told.failover(1, "answered", reason="attested", attempt=attempt, **PSAP)
    told.outcome("answered")


def attested_as_well(told: Told) -> None:
    """The conductor had written it down just before it died; its fact and the attestation are one connection."""
    attested(told)
    attempt = f"{told.call_id}/1/1"
    told.fact("answered", must=False, attempt=attempt, settled=True, **PSAP)
    told.accounts.must = [entry for entry in told.accounts.must if entry.get("reason") != "attested"]


def listed_by_failover(told: Told, outcome: str = "callback_open") -> None:
    """Nobody has the caller, who does not come back: onto the list, before the others."""
    told.begin_leg()
    attempt = told.ring(1, PSAP, last=True)
    told.caller("leg_broken", must=False, why="UNAVAILABLE")
    told.caller("gave_up")
    told.far("cancelled", attempt, PSAP, reason="stream_lost")
    told.failover(0, "taken_over", must=False, reason="stream_broken by failover-1")
    told.failover(3, "callback_due", reason="conductor_lost")
    told.outcome(outcome)


def overtaken(told: Told) -> None:
    """Somebody began to take it over just as the caller offered it again: nothing more is said of the old leg."""
    told.begin_leg()
    told.caller("leg_broken", must=False, why="UNAVAILABLE")
    told.failover(0, "taken_over", must=False, reason="stream_broken by failover-1")
    told.begin_leg()
    told.connect(told.ring(1, PSAP), PSAP)


def rung_back(told: Told) -> None:
    """Onto the list, and then a person at a line rings the caller and they talk."""
    listed_by_failover(told, "callback_closed")
    attempt = f"{told.call_id}/1/1001"
    told.failover(12, "callback_attempted", must=False, reason="line_asked by failover-1", attempt=attempt, **LINE)
    told.far("offered", attempt, LINE, reason="conductor_lost")
    told.far("ringing", attempt, LINE)
    told.far("answered", attempt, LINE)
    told.far("rings_caller", attempt, LINE, must=False)
    told.far("rung_back", attempt, LINE)
    told.failover(4, "reconnected", reason="rung_back", attempt=attempt, **LINE)


STORIES = (
    *(
        answered,
        diverted,
        rang_twice,
        hunted,
        hung_up,
        second_leg,
        gave_up,
        crossed,
        crossed_and_listed,
        crossed_and_let_go,
    ),
    *(offered_again, handed_over, resumed, attested, attested_as_well, listed_by_failover, overtaken, rung_back),
)
runs = st.lists(st.sampled_from(STORIES), min_size=1, max_size=6)


def accounts_of(stories: list[Any]) -> Accounts:
    accounts = Accounts()
    for number, story in enumerate(stories):
        story(Told(accounts, f"call-{number}"))
    return accounts


@settings(deadline=None)
@given(runs)
def test_three_sound_accounts_agree(stories: list[Any]) -> None:
    """Whatever becomes of calls, three witnesses who saw the same do not disagree."""
    accounts = accounts_of(stories)
    verdict = compare(accounts.caller, accounts.far_end, accounts.journal)
    assert verdict.disagreements == ()
    assert verdict.calls == verdict.accepted == len(stories)


@settings(deadline=None)
@given(runs, st.data())
def test_the_order_of_entries_does_not_matter(stories: list[Any], data: st.DataObject) -> None:
    """The journal's facts come in any order (J2), and files may be joined from several processes."""
    accounts = accounts_of(stories)
    caller, far_end, journal = (data.draw(st.permutations(accounts.of(witness))) for witness in WITNESSES)
    assert compare(caller, far_end, journal).disagreements == ()


@settings(deadline=None)
@given(runs, st.data())
def test_a_record_that_is_left_out_is_missed(stories: list[Any], data: st.DataObject) -> None:
    """Dropping any one record that matters, of any witness, is a disagreement about that very call."""
    accounts = accounts_of(stories)
    dropped = data.draw(st.sampled_from(accounts.must))
    left = accounts.without(dropped)
    disagreements = compare(left.caller, left.far_end, left.journal).disagreements
    assert {each.call_id for each in disagreements} == {dropped["call_id"]}, dropped


@pytest.mark.parametrize("story", [answered, diverted, rang_twice, second_leg])
def test_a_connected_call_must_have_been_accepted(story: Any) -> None:
    """A call that was never accepted cannot have been connected, so a lost `accepted` shows."""
    accounts = accounts_of([story])
    accounts.caller = [entry for entry in accounts.caller if entry["event"] != "accepted"]
    assert compare(accounts.caller, accounts.far_end, accounts.journal).disagreements


@settings(deadline=None)
@given(runs, st.sampled_from(WITNESSES))
def test_a_second_connection_is_told_by_whoever_saw_it(stories: list[Any], witness: str) -> None:
    """One call, one answer: two connections are a disagreement, however many agree on them."""
    accounts = accounts_of([answered, *stories])
    entries = accounts.of(witness)
    connects = next(
        entry for entry in entries if entry["event"] == "connected" or entry.get("kind") in ("answered", "diverted")
    )
    entries.append({**connects, "attempt": connects["attempt"] + "0", "seq": 99})
    assert compare(accounts.caller, accounts.far_end, accounts.journal).disagreements


@pytest.mark.parametrize("witness", WITNESSES)
def test_a_connection_at_another_place_is_noticed(witness: str) -> None:
    """Connected is not enough: it must be the same place for all three."""
    accounts = accounts_of([answered])
    for entry in accounts.of(witness):
        if entry["event"] == "connected" or entry.get("kind") == "answered":
            entry["psap_id"] = "3178"
    (disagreement, *_) = compare(accounts.caller, accounts.far_end, accounts.journal).disagreements
    assert "3175" in str(disagreement) and "3178" in str(disagreement)


def confirmed() -> tuple[Accounts, Told, str]:
    """A call whose caller has confirmed a PSAP's answer, by all three; what comes of it is the test's."""
    accounts = Accounts()
    told = Told(accounts, "a")
    told.begin_leg()
    attempt = told.ring(1, PSAP)
    told.far("answered", attempt, PSAP)
    told.caller("confirmed", attempt=attempt)
    return accounts, told, attempt


@pytest.mark.parametrize(("owns_up", "agree"), [(True, True), (False, False)])
def test_a_connection_that_a_psap_kept_to_itself_joined_nobody(owns_up: bool, agree: bool) -> None:
    """A PSAP that owns up to it said nothing of its connection; the caller went on to the next (P4). Not without."""
    accounts, told, attempt = confirmed()
    told.far("connected", attempt, PSAP)
    if owns_up:
        told.far("misbehaved", attempt, PSAP, mischief="connects_late")
    told.far("ended", attempt, PSAP)
    told.connect(told.ring(2, LINE), LINE)
    assert (not compare(accounts.caller, accounts.far_end, accounts.journal).disagreements) is agree


@pytest.mark.parametrize(("why", "agree"), [("maybe_connected", True), ("no_answer", False)])
def test_a_connection_whose_word_was_lost_does_not_stand_where_the_next_was_told_so(why: str, agree: bool) -> None:
    """Both gateways of it were gone, and whoever has the caller now was warned (P5). Not where nobody was."""
    accounts, told, attempt = confirmed()
    told.far("connected", attempt, PSAP)
    second = told.ring(2, LINE)
    told.fact("attempting", attempt=second, reason=why)
    told.connect(second, LINE)
    told.far("ended", attempt, PSAP)
    assert (not compare(accounts.caller, accounts.far_end, accounts.journal).disagreements) is agree


@pytest.mark.parametrize(("late", "agree"), [(False, True), (True, False)])
def test_a_warning_excuses_no_connection_that_came_after_it(late: bool, agree: bool) -> None:
    """What was lost is older than the offer that says so (P5): a second person afterwards is two people."""
    accounts, told, attempt = confirmed()
    if not late:
        told.far("connected", attempt, PSAP)
    second = told.ring(2, LINE)
    told.fact("attempting", attempt=second, reason="maybe_connected")
    told.connect(second, LINE)
    if late:
        told.far("connected", attempt, PSAP)
    told.far("ended", attempt, PSAP)
    assert (not compare(accounts.caller, accounts.far_end, accounts.journal).disagreements) is agree


@pytest.mark.parametrize(("stage", "agree"), [("ringing", True), ("answered", True), ("connected", False)])
def test_a_ring_that_was_cancelled_and_rung_again_took_no_connection_back(stage: str, agree: bool) -> None:
    """R5: one attempt may ring twice, through two gateways; what is cancelled once connected is taken back."""
    accounts = accounts_of([answered])
    (attempt,) = {entry["attempt"] for entry in accounts.far_end}
    Told(accounts, "call-0").far("cancelled", attempt, PSAP, reason="stream_lost", stage=stage)
    verdict = compare(accounts.caller, accounts.far_end, accounts.journal)
    assert (verdict.disagreements == ()) is agree


@pytest.mark.parametrize(("rings_at", "agree"), [("before", True), ("after", False)])
def test_nobody_is_rung_back_who_is_connected_already(rings_at: str, agree: bool) -> None:
    """A caller may come back by a higher leg while the telephone rings; but not be rung while they talk (T3)."""
    accounts = Accounts()
    told = Told(accounts, "call-0")
    told.begin_leg()
    told.caller("leg_broken", why="UNAVAILABLE")
    told.failover(0, "taken_over", reason="stream_broken by failover-1")
    told.failover(3, "callback_due", reason="conductor_lost")
    back = "call-0/1/1001"
    told.failover(12, "callback_attempted", reason="line_asked by failover-1", attempt=back, **LINE)
    for event in ("offered", "ringing", "answered"):
        told.far(event, back, LINE)
    if rings_at == "before":
        told.far("rings_caller", back, LINE)
    told.begin_leg()
    told.connect(told.ring(1, PSAP), PSAP)
    if rings_at == "after":
        told.far("rings_caller", back, LINE)
    told.far("rung_back", back, LINE)
    told.leg = 1
    told.failover(4, "reconnected", reason="rung_back", attempt=back, **LINE)
    words = [each.words for each in compare(accounts.caller, accounts.far_end, accounts.journal).disagreements]
    complaint = f"the caller was connected, and then rung back as {back} at 3175 line +16175550100"
    assert words == ([] if agree else [complaint])


def test_a_line_that_was_found_to_have_rung_the_caller_back_is_an_attestation() -> None:
    """Who takes a later leg over hears it from the line: the fact is of the leg that the line was dialled for (T3)."""
    accounts = accounts_of([rung_back])
    told = Told(accounts, "call-0")
    told.leg = 2
    told.caller("offered")
    told.fact("offered")
    told.caller("accepted")
    told.failover(0, "taken_over", reason="stream_broken by failover-1")
    assert compare(accounts.caller, accounts.far_end, accounts.journal).disagreements == ()


@pytest.mark.parametrize(
    ("stood_ms", "deaf", "fits"),
    [(900, False, True), (5_000, False, False), (5_000, True, True), (6_500, True, False)],
)
def test_a_leg_that_stood_must_have_been_accepted_as_soon_as_its_network_listened(
    stood_ms: int, deaf: bool, fits: bool
) -> None:
    """One that reads nothing for five seconds cannot hear within one that nobody is there (P2)."""
    caller: list[Entry] = [{"event": "offered", "call_id": "c", "leg": 1, "after_ms": 0.0, "at_ms": 0}]
    if deaf:
        caller.append({**caller[0], "event": "misbehaved", "mischief": "reads_nothing"})
    caller.append({"event": "hung_up", "call_id": "c", "leg": 1, "after_ms": float(stood_ms), "at_ms": stood_ms})
    assert (compare(caller, [], []).disagreements == ()) is fits


def test_a_call_that_the_books_leave_in_progress_is_noticed() -> None:
    """J3: when all is over nothing may be in progress."""
    accounts = accounts_of([hung_up])
    accounts.journal[-1]["outcome"] = "in_progress"
    assert compare(accounts.caller, accounts.far_end, accounts.journal).disagreements


@pytest.mark.parametrize(("attempt", "fits"), [("c/1/1", True), ("c/2/1", False)])
def test_a_leg_that_goes_on_with_an_earlier_ones_answer_may_be_connected_before_it_is_accepted(
    attempt: str, fits: bool
) -> None:
    """It has an answer from the start, and is connected within milliseconds (P7); what it began itself takes longer."""
    where = {"attempt": attempt, "psap_id": "P1"}
    caller: list[Entry] = [
        {"event": "offered", "call_id": "c", "leg": 1, "after_ms": 0.0, "at_ms": 0},
        {"event": "offered", "call_id": "c", "leg": 2, "after_ms": 1_000.0, "at_ms": 1_000},
        {"event": "confirmed", "call_id": "c", "leg": 2, "after_ms": 1_004.0, "at_ms": 1_004, **where},
        {"event": "connected", "call_id": "c", "leg": 2, "after_ms": 1_009.0, "at_ms": 1_009, **where},
    ]
    words = [str(each) for each in compare(caller, [], []).disagreements]
    assert ("c: connected without having been accepted" not in words) is fits


def test_a_call_never_accepted_owes_nothing() -> None:
    """A caller who was turned away is counted, and no one else need know of the call."""
    accounts = Accounts()
    told = Told(accounts, "c")
    told.leg = 1
    told.caller("offered")
    told.caller("leg_broken", why="UNAVAILABLE")
    told.caller("gave_up")
    verdict = compare(accounts.caller, accounts.far_end, accounts.journal)
    assert verdict.disagreements == ()
    assert (verdict.accepted, verdict.never_accepted) == (0, 1)


@settings(deadline=None)
@given(runs, st.sampled_from(WITNESSES), st.integers(0, 1000))
def test_every_lie_is_found_out(stories: list[Any], witness: str, seed: int) -> None:
    """What `--lie` leaves out, whatever the seed, is missed by the comparison."""
    accounts = accounts_of([answered, *stories])
    left, dropped = without_one(witness, accounts.of(witness), seed)
    assert len(left) == len(accounts.of(witness)) - 1
    told = {name: left if name == witness else accounts.of(name) for name in WITNESSES}
    disagreements = compare(told["caller"], told["far-end"], told["journal"]).disagreements
    assert dropped["call_id"] in {each.call_id for each in disagreements}


def test_a_lie_needs_something_to_leave_out() -> None:
    """An account without such an entry is refused, in a line."""
    with pytest.raises(ValueError, match="no entry that could be left out"):
        without_one("far-end", [], 1)


def test_files_can_be_compared_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The module runs alone on three files; a last line that was cut short is left out."""
    accounts = accounts_of([answered, hung_up])
    files = []
    for witness in WITNESSES:
        files.append(str(tmp_path / witness))
        with Diary(tmp_path / witness, witness) as diary:
            for entry in accounts.of(witness):
                diary.write(entry["event"], **{key: value for key, value in entry.items() if key != "event"})
    with (tmp_path / "caller").open("a") as file:
        file.write('{"event":"offe')
    assert main(files) == 0
    assert "2 calls, 2 accepted, 0 disagreements" in capsys.readouterr().out
    (tmp_path / "far-end").write_text("")
    assert main(files) == 1
    assert main([]) == 64


@pytest.mark.parametrize(
    ("kind", "lossy", "agree"),
    [
        ("attempting", {"ingress-1": [(0, 1_000)]}, True),
        ("attempting", {"ingress-2": [(0, 1_000)]}, False),
        ("offered", {"ingress-1": [(0, 1_000)]}, False),
        ("answered", {"ingress-1": [(0, 1_000)]}, False),
        ("attempting", {"ingress-1": [(900, 1_000)]}, False),
        ("attempting", {"ingress-1": [(0, 0)]}, False),
    ],
)
def test_a_writer_that_lost_its_disk_may_have_lost_what_neither_opens_nor_settles_a_call(
    kind: str, lossy: Lossy, agree: bool
) -> None:
    """J4: these two are in two places; what lies between them died with the one disk that had it, and was said then."""
    told = accounts_of([answered])
    journal = [{**e, "at_ms": 10 + e.get("seq", 0)} for e in told.journal if e.get("kind") != kind]
    found = compare(told.caller, told.far_end, journal, lossy).disagreements
    assert (not found) == agree


@pytest.mark.parametrize(
    ("lossy", "agree"), [({"ingress-2": [(0, 1_000)]}, True), ({"ingress-1": [(0, 1_000)]}, False), ({}, False)]
)
def test_a_leg_whose_conductor_lost_its_disk_may_be_missing_where_a_higher_one_settled_the_call(
    lossy: Lossy, agree: bool
) -> None:
    """J4: copies are dropped when the settlement of their call is on the log, whether they came there or not."""
    told = accounts_of([offered_again])
    at = {1: "ingress-2:1", 2: "ingress-1:1"}
    callers = [{**each, "ingress": at[each["leg"]]} if each["event"] == "offered" else each for each in told.caller]
    journal = [entry for entry in told.journal if entry.get("leg") != 1]
    found = compare(callers, told.far_end, journal, lossy).disagreements
    assert (not found) == agree
    unsettled = [entry for entry in journal if entry.get("kind") != "answered"]
    assert compare(callers, told.far_end, unsettled, lossy).disagreements
