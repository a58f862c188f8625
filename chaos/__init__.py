"""Hurts a whole installation of real processes on purpose, and counts what callers lose by it: nothing, or it says so.

`make chaos` and `make soak` run it. It decides nothing of a call: it starts what operators start (services/launch),
lets the world outside call (loadtest), strikes by a seeded schedule, and lets three witnesses say what became of
everybody.
"""
