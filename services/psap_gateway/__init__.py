"""PSAP gateway: holds the PSAPs' connections and rings them.

Decides which PSAP can be reached through it, and what a PSAP may say; both in `services/domain/switchboard.py`. Asks a
PSAP, over the stream that the PSAP opened (`Attach`), to ring, connect and release. Hears conductors (`Deliver`), one
stream an attempt. Tells: what became of each attempt, on `deliveries`; what it knows of each PSAP, on `psap-status`.

When it is gone: PSAPs hold connections to two gateways, and a conductor that finds this one gone takes the next. A PSAP
that is cut off, silent, deaf or a liar loses its own calls to the next rung, and nobody else's.
"""
