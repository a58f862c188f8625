"""The commands at the edge: options, exit codes, one line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from typer.testing import CliRunner, Result

from services.domain.events import Fact, FactKind
from services.domain.offer import SOS_URN, Offer
from services.host.settings import load
from services.journal import Record, Topic
from services.ledger.commands import callbacks
from services.ledger.projection import read
from services.ledger.settings import LedgerSettings
from services.ledger.sql import SqlStore
from services.readers.commands import balance, tail
from services.wire import facts

Kinds = FactKind


def invoke(*words: str) -> Result:
    app = typer.Typer()
    app.command("balance")(balance)
    app.command("tail")(tail)
    app.add_typer(callbacks, name="callbacks")
    return CliRunner().invoke(app, words)


def database(path: Path) -> str:
    """A ledger's database: one caller with two open calls, one who cannot be rung back, one closed."""
    url = f"sqlite:///{path / 'ledger.db'}"
    store = SqlStore(url)
    store.open()
    calls = [
        ("a1", "+16175550123", 10),
        ("a2", "+16175550123", 20),
        ("b1", "+19115550100", 15),
        ("c1", "+16175550199", 5),
    ]
    told = []
    for call_id, caller, at_ms in calls:
        offer = Offer(call_id, 1, caller, SOS_URN, None)
        told.append(Fact(call_id, 1, 0, "w", Kinds.OFFERED, at_ms, offer=offer, caller_hash=call_id[0]))
        told.append(Fact(call_id, 1, 1, "w", Kinds.ABANDONED, at_ms, "caller_hung_up", caller_hash=call_id[0]))
    told.append(Fact("c1", 1, 0, "ledger", Kinds.RECONNECTED, 99, "by c2", settled=True, caller_hash="c"))
    records = [Record(Topic.CALLS, 0, n, fact.call_id, facts.encode(fact), 0) for n, fact in enumerate(told)]
    store.project(read(records), {})
    store.close()
    return url


def test_the_list_has_one_entry_a_caller(tmp_path: Path) -> None:
    """Two calls of one caller are rung back once; a number that cannot be rung is kept and marked."""
    result = invoke("callbacks", "list", "--database", database(tmp_path), "--json")
    assert result.exit_code == 0
    entries = json.loads(result.stdout)
    assert [(each["number"], each["can_be_rung_back"]) for each in entries] == [
        ("+16175550123", True),
        ("+19115550100", False),
    ]
    assert [call["call_id"] for call in entries[0]["calls"]] == ["a1", "a2"]


def test_the_list_can_show_who_is_off_it(tmp_path: Path) -> None:
    """With the reason."""
    url = database(tmp_path)
    assert "+16175550199" not in invoke("callbacks", "list", "--database", url).stdout
    shown = invoke("callbacks", "list", "--database", url, "--all", "--json")
    [closed] = [each for each in json.loads(shown.stdout) if not each["open"]]
    assert closed["calls"][0]["closed_why"] == "reconnected: by c2"


def test_the_list_is_a_table_for_people(tmp_path: Path) -> None:
    """And says so when nobody is on it."""
    shown = invoke("callbacks", "list", "--database", database(tmp_path)).stdout
    assert "+16175550123" in shown
    assert "(cannot be" in shown
    empty = SqlStore(f"sqlite:///{tmp_path / 'empty.db'}")
    empty.open()
    empty.close()
    assert "nobody" in invoke("callbacks", "list", "--database", f"sqlite:///{tmp_path / 'empty.db'}").stdout


def test_a_database_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    """With what to do, and exit code 69."""
    result = invoke("callbacks", "list", "--database", f"sqlite:///{tmp_path / 'none.db'}")
    assert result.exit_code == 69
    assert len(result.stderr.splitlines()) == 1
    assert "--database" in result.stderr


def test_a_database_that_is_no_url_is_said_in_one_line() -> None:
    """Exit code 64, as any setting that cannot be used."""
    result = invoke("callbacks", "list", "--database", "nonsense")
    assert result.exit_code == 64
    assert "expected a URL such as" in result.stderr
    assert "nonsense" not in load(LedgerSettings).database


def test_a_rebuild_empties_the_tables_only_on_a_yes(tmp_path: Path) -> None:
    """The next ledger reads the journal from its beginning."""
    url = database(tmp_path)
    assert invoke("callbacks", "rebuild", "--database", url).exit_code == 1
    store = SqlStore(url)
    assert store.positions() == {0: 9}
    assert invoke("callbacks", "rebuild", "--database", url, "--yes").exit_code == 0
    assert store.positions() == {}
    assert not store.sums()
    store.close()


def test_an_instant_that_is_none_is_a_usage_error() -> None:
    """Exit code 2, before anything is connected to."""
    for words in (["balance", "--since", "soon"], ["balance", "--by", "0s"], ["tail", "--since", "soon"]):
        result = invoke(*words)
        assert result.exit_code == 2
        assert "expected" in result.stderr


def test_callers_whose_conductor_died_come_first_and_are_marked(tmp_path: Path) -> None:
    """Urgent before every other wait, however short their own (T3); closed, they are urgent no more."""
    url = database(tmp_path)
    store = SqlStore(url)
    told = []
    for call_id, at_ms in (("d1", 500), ("e1", 400)):
        offer = Offer(call_id, 1, "+16175550177", SOS_URN, None)
        told.append(Fact(call_id, 1, 0, "w", Kinds.OFFERED, at_ms, offer=offer, caller_hash=call_id[0]))
        told.append(
            Fact(
                call_id,
                1,
                3,
                "failover",
                Kinds.CALLBACK_DUE,
                at_ms,
                "conductor_lost",
                caller_hash=call_id[0],
                urgent=True,
            )
        )
    told.append(Fact("e1", 1, 4, "failover", Kinds.RECONNECTED, 600, "rung_back", settled=True, caller_hash="e"))
    records = [Record(Topic.CALLS, 1, n, fact.call_id, facts.encode(fact), 0) for n, fact in enumerate(told)]
    store.project(read(records), {})
    store.close()
    shown = json.loads(invoke("callbacks", "list", "--database", url, "--all", "--json").stdout)
    assert [(each["calls"][0]["call_id"], each["urgent"]) for each in shown if each["open"]] == [
        ("d1", True),
        ("a1", False),
        ("b1", False),
    ]
    assert not any(each["urgent"] for each in shown if not each["open"])
    assert "URGENT: conductor_lost" in invoke("callbacks", "list", "--database", url).stdout
