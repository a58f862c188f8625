"""The books and a call's story as read from a journal in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from rich.console import Console, RenderableType

from services.domain.events import Fact, FactKind
from services.domain.fold import Outcome
from services.domain.offer import SOS_URN, Offer
from services.domain.place import Circle
from services.domain.policy import Flag
from services.domain.where import Where
from services.journal import Topic
from services.journal.kafka_access import PAPER
from services.journal.memory import MemoryBroker, MemoryLog
from services.readers.balance import as_json, balance, facts_of
from services.readers.pages import balance_page, story_page
from services.readers.reading import NoJournal
from services.wire import facts

Kinds = FactKind
CALLER = "+16175550123"


def call(call_id: str, *kinds: FactKind, begun_ms: int = 0, test: bool = False) -> list[Fact]:
    """A call's facts, 100 ms apart."""
    offer = Offer(call_id, 1, CALLER, SOS_URN, Circle(42.36, -71.06, 50.0))
    return [
        Fact(
            call_id, 1, seq, "ingress-1/1", kind, begun_ms + seq * 100, test=test, attempt=f"{call_id}/1/1",
            offer=offer if kind is Kinds.OFFERED else None, where=Where("boston") if seq else None,
        )
        for seq, kind in enumerate(kinds)
    ]  # fmt: skip


async def journal(each: Sequence[Fact | bytes], now_ms: int = 0) -> tuple[MemoryBroker, MemoryLog]:
    """A journal that holds these, with `now_ms` as its clock, and a reader's log on it."""
    broker = MemoryBroker(lambda: now_ms)
    log = MemoryLog(broker)
    for fact in each:
        key, raw = ("key", fact) if isinstance(fact, bytes) else (fact.call_id, facts.encode(fact))
        await log.append(Topic.CALLS, key, raw)
    return broker, MemoryLog(broker)


def printed(page: RenderableType) -> str:
    console = Console(width=200, no_color=True)
    with console.capture() as capture:
        console.print(page)
    return capture.get()


WHOLE = [
    *call("a", Kinds.OFFERED, Kinds.RINGING, Kinds.ANSWERED),
    *call("b", Kinds.OFFERED, Kinds.DIVERTED, begun_ms=60_000),
    *call("c", Kinds.OFFERED, Kinds.ABANDONED, begun_ms=61_000),
    *call("t", Kinds.OFFERED, Kinds.RINGING, Kinds.ANSWERED, test=True),
]


async def test_the_journal_alone_gives_the_books() -> None:
    """J3, copies and what is no fact left out of the sums."""
    _, log = await journal([*WHOLE, *WHOLE, b"\xff"])
    result = await balance(log, now_ms=70_000, window_ms=60_000)
    assert result.books.sound
    assert (result.records, result.unreadable, result.books.real.offered, result.books.tests.offered) == (21, 1, 3, 1)
    assert result.books.real.outcomes[Outcome.DIVERTED] == 1
    assert {from_ms: each.real.offered for from_ms, each in result.windows.items()} == {0: 1, 60_000: 2}
    page = printed(balance_page(result))
    assert "the books balance" in page
    assert "1 of 21 records are no facts" in page
    assert as_json(result)["calls"]["to_answer_ms"]["worst"] == 200


async def test_a_call_whose_offer_is_missing_does_not_balance() -> None:
    """The journal is whole, from offset 0: what is not in it was lost."""
    _, log = await journal([*WHOLE, *call("d", Kinds.OFFERED, Kinds.ANSWERED)[1:]])
    result = await balance(log, now_ms=0)
    assert not result.books.sound
    page = printed(balance_page(result))
    assert "THE BOOKS DO NOT BALANCE" in page
    assert "ended and never offered: 1 (d)" in page


async def test_a_call_that_began_before_the_window_is_in_no_sum() -> None:
    """With `--since` the offers of calls in hand stand before what is read."""
    now_ms = 0
    broker = MemoryBroker(lambda: now_ms)
    log = MemoryLog(broker)
    for fact in call("a", Kinds.OFFERED, Kinds.RINGING, Kinds.ANSWERED):
        await log.append(Topic.CALLS, "a", facts.encode(fact))
        now_ms += 1_000
    for fact in call("b", Kinds.OFFERED, Kinds.ANSWERED):
        await log.append(Topic.CALLS, "b", facts.encode(fact))
    result = await balance(log, now_ms=0, since_ms=500)
    assert result.books.sound
    assert (result.begun_before, result.books.real.offered) == (1, 1)


async def test_a_call_connected_twice_is_told_by_name() -> None:
    """The books may balance; they are not sound (J2)."""
    again = Fact("a", 1, 9, "ingress-2/1", Kinds.DIVERTED, 900, attempt="a/1/2")
    _, log = await journal([*WHOLE, again])
    result = await balance(log, now_ms=0)
    page = printed(balance_page(result))
    assert "A CALL WAS CONNECTED TWICE" in page
    assert "connected twice: 1 (a)" in page


async def test_a_conductor_that_says_no_more_shows() -> None:
    """A call in progress past its due time is named (J1)."""
    _, log = await journal([*call("a", Kinds.OFFERED), Fact("a", 1, 5, "w", Kinds.RINGING, 100, due_in_ms=500)])
    assert "overdue: 1 (a)" in printed(balance_page(await balance(log, now_ms=601)))
    assert "overdue" not in printed(balance_page(await balance(log, now_ms=600)))


async def test_an_empty_journal_balances() -> None:
    """Nothing was offered and nothing became of it."""
    _, log = await journal([])
    result = await balance(log, now_ms=0)
    assert result.books.sound
    assert result.records == 0
    assert "the books balance" in printed(balance_page(result))


async def test_a_journal_that_does_not_answer_is_said_in_one_line() -> None:
    """Not waited for without end."""
    _, log = await journal([])
    log.fail(absent=True)
    with pytest.raises(NoJournal, match=r"no broker answers .* Say where with --kafka") as caught:
        await balance(log, now_ms=0, answers_within_s=0.1)
    assert "\n" not in str(caught.value)


async def test_a_kafka_that_refuses_is_said_without_advice_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there, and has its topics: what it says names the paper that helps."""
    _, log = await journal([])
    log.fail(absent=True)
    monkeypatch.setattr(log, "health", lambda: f"calls: no ACL of Kafka's lets us read there ({PAPER})")
    with pytest.raises(NoJournal, match=r"lets us read there \(docs/firewall\.md\) \(waited 0 s\)$"):
        await balance(log, now_ms=0, answers_within_s=0.1)


async def test_a_journal_that_stands_still_is_said_in_one_line() -> None:
    """It told its ends, and gives no record: a name that may describe `calls` and not read it would wait for ever."""
    _, log = await journal(WHOLE)
    reading = asyncio.ensure_future(balance(log, now_ms=0, answers_within_s=0.1))
    await asyncio.sleep(0)
    log.fail(absent=True)
    with pytest.raises(NoJournal, match=r"no broker answers .* Say where with --kafka"):
        await asyncio.wait_for(reading, 30)


async def test_what_is_read_ends_with_what_was_there_at_the_start() -> None:
    """The end offsets are taken first (J7): a busy journal does not keep the reader for ever."""
    broker, log = await journal(WHOLE)
    writing = True

    async def write() -> None:
        while writing:
            for fact in call("z", Kinds.OFFERED):
                broker.land(Topic.CALLS, "z", facts.encode(fact))
            await asyncio.sleep(0)

    busy = asyncio.ensure_future(write())
    async with asyncio.timeout(10):
        result = await balance(log, now_ms=0)
    writing = False
    await busy
    assert result.books.real.offered >= 3


async def test_a_story_hides_the_caller_unless_asked() -> None:
    """Facts in order, copies left out; the number and the place only with `--show-numbers`."""
    told = call("a", Kinds.OFFERED, Kinds.RINGING, Kinds.ANSWERED)
    flagged = Fact(
        "a", 1, 7, "w", Kinds.SCREENED, 50, verdict=Flag(40, "odd", f"seen {CALLER}"), reason=f"was {CALLER}"
    )
    _, log = await journal([*told[::-1], flagged, *told, *call("b", Kinds.OFFERED)])
    found = await facts_of(log, "a")
    assert [fact.kind for fact in found] == [Kinds.OFFERED, Kinds.SCREENED, Kinds.RINGING, Kinds.ANSWERED]
    hidden, shown = printed(story_page(found, False)), printed(story_page(found, True))
    assert CALLER not in hidden
    assert "42.36" not in hidden
    assert "…23" in hidden
    assert CALLER in shown
    assert "42.36000, -71.06000" in shown
    assert "call a: answered by a PSAP" in hidden
    assert await facts_of(log, "nobody") == []


async def test_a_story_cannot_command_the_terminal() -> None:
    """What strangers say is shown, never done."""
    rude = Fact("a", 1, 0, "w\x1b[2J", Kinds.DELIVERY_FAILED, 0, reason="[red]\x1b]0;owned\x07", attempt="a/1/\x1b[1m")
    page = printed(story_page([rude], True))
    assert "\x1b" not in page
    assert "\x07" not in page
    assert "[red]" in page
