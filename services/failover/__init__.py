"""Failover: dials ten-digit administrative lines for calls that no PSAP's own call-takers can take.

Decides which of an owner's lines comes next, and through which trunk (`services/domain/lines.py`, `hunt.py`). Asks the
trunks to dial; they are the authority on their channels (R7). Hears conductors (`Divert`), one stream an attempt.
Tells what became of each attempt, on `deliveries`. It needs no router: it follows the lines on `routing` by itself.

When it is gone: replicas stand by, and a conductor that finds one gone takes the next.
"""
