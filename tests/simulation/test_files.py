"""What a process writes as text lies on its disk, and suffers what that suffers."""

from __future__ import annotations

import pytest

from simulator.checkers import check
from simulator.injuries import Injury
from simulator.run import Observed, run
from simulator.schedule import Schedule, draw

CACHE = "cache/policy-firewall-{}.json"
LIVE = Injury("policy_repeats", 2.0, 16.0, ("firewall-1", "firewall-2"))
TROUBLES = "throughline_policy_cache_troubles_total"


def at(seen: Observed, at_s: float, n: int) -> bytes:
    """What lay in the file of that firewall at that look."""
    look = next(k for k, (looked_s, _) in enumerate(seen.looks) if looked_s >= at_s)
    return seen.disks[look].get(f"firewall-{n}", {}).get(CACHE.format(n), b"")


def test_a_machine_that_is_lost_takes_the_files_of_its_process_with_it() -> None:
    """Its successor begins without the last good policy; who only dies finds it again."""
    lost, killed = (Injury(kind, 8.0, 4.0, (f"firewall-{n}",)) for n, kind in enumerate(("disk_lost", "kill"), 1))
    seen = run(Schedule(3, draw(3, 8).calls, (LIVE, lost, killed)))
    assert [bool(at(seen, 8.0, n)) for n in (1, 2)] == [True, True]
    assert [bool(at(seen, 12.0, n)) for n in (1, 2)] == [False, True]
    assert (seen.settled, check(seen)) == (True, [])


@pytest.mark.parametrize(("kind", "amount"), [("disk_full", 100.0), ("disk_fails", 1.0), ("disk_slow", 3.0)])
def test_what_is_wrong_with_a_disk_is_wrong_with_the_files_on_it(kind: str, amount: float) -> None:
    """The last good policy is not kept, and that is told; or it comes late."""
    seen = run(Schedule(3, draw(3, 8).calls, (LIVE, Injury(kind, 1.0, 9.0, ("firewall-1",), amount),
                                              Injury("held_up", 3.5, 0.1, ("ledger-1",)))))  # fmt: skip
    before = at(seen, 1.0, 1)
    assert [at(seen, 3.5, n) == before for n in (1, 2)] == [True, False]
    slow = kind == "disk_slow"
    assert (at(seen, 10.0, 1) != before) is slow
    assert (seen.counts["firewall-1"].get(TROUBLES, 0.0) > 0) is not slow
    assert (seen.settled, check(seen)) == (True, [])
