"""Outages that happened, played again: the same callers before a plain fail-closed filter, and before Throughline.

The services are the real ones under virtual time; what befalls them is scripted, one module a scenario. What each must
show stands in one table (`promises.py`).
"""
