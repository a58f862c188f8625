"""Failover: dials ten-digit administrative lines, and takes up what dead conductors owed.

Decides which of an owner's lines comes next, and through which trunk (`services/domain/hunting/lines.py`, `hunt.py`);
which debts are due and whose turn it is (`debts.py`, `watch.py`, `taking_over.py`); and whom a line rings back
(`ring_backs.py`). Asks the trunks to dial, each ingress whether it lives, and gateways and trunks who has a call. Hears
conductors (`Divert`), one stream an attempt, and keeps copies of their facts (`Keep`). Follows `calls`. Tells what
became of each attempt, on `deliveries`, and what became of a debt, on `calls`. It needs no router: it follows the lines
on `routing` by itself.

When it is gone: replicas stand by; a conductor that finds one gone takes the next, and the next replica takes up debts.
"""
