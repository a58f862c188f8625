"""PSAP gateway: holds the PSAPs' connections and rings them.

Decides which PSAP can be reached through it, and what a PSAP may say; both in
`services/domain/gateways/switchboard.py`. Asks a PSAP, over the stream that the PSAP opened (`Attach`), to ring,
connect and release. Hears conductors (`Deliver`), one stream an attempt, and whoever asks for a call whose conductor is
gone (`WhoHas`, `Resume`). Tells: what became of each attempt, on `deliveries`; what it knows of each PSAP, on
`psap-status`.

When it is gone: PSAPs hold connections to two gateways, ring on for 2 s, and go on with the attempt through the other;
a restarted one learns from their first word what rings and talks there. A PSAP that is cut off, silent, deaf or a liar
loses its own calls to the next rung, and nobody else's.
"""
