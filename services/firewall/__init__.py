"""Firewall: screens a call against the current rules and says pass, flag or divert. It has no word that drops a call.

Decides by a rulebook (`rulebook.py`), asked once a call: the same call_id gets the same verdict again. Asks and hears
nobody. Tells: each verdict, on `screenings`.

When it is gone, slow or wrong: calls go on unscreened within the conductor's budget, counted. Whatever goes wrong in
here is a pass.
"""
