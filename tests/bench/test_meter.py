"""What processes cost, as the benchmark reads it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from bench import meter

BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"


def test_a_process_that_works_is_seen_to_work_and_then_to_rest() -> None:
    """0.3 s of processor time, in ticks of 10 ms; a process that waits adds none."""
    with subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdout.readline()
        used = meter.cpu_s(child.pid)
        assert 0.28 <= used < 5
        assert child.pid in meter.children(os.getpid())
        assert meter.cpu_s(child.pid) - used <= 0.02
        child.stdin.close()


def test_a_process_that_is_gone_costs_nothing() -> None:
    """No error: a process may be killed in the middle of a measurement."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert meter.cpu_s(child.pid) == 0.0


def test_what_others_used_is_never_negative_and_names_no_process_of_ours() -> None:
    """Ours is subtracted from the machine's; ticks that differ by rounding do not show."""
    before = meter.look([os.getpid()])
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    cost = meter.Cost.between(before, meter.look([os.getpid()]))
    assert cost.of([os.getpid()]) >= 0.08
    assert cost.of([1]) == 0.0
    assert cost.others_s >= 0.0
