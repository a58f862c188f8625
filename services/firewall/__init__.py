"""Firewall: screens a call by the live policy and says pass, flag or divert. It has no word that drops a call.

Decides by a bundle that a process of its own evaluates (`evaluating.py`), and by guards and breakers that no bundle can
change (`services/policy`): the same call_id gets the same verdict again. Asks nobody on a call's way; hears what other
firewalls screened, so that windows and limits are one, and on `psap-status` how many calls each PSAP has. Tells: each
verdict and all that led to it, on `screenings`.

When it is gone, slow or wrong: calls go on unscreened within the conductor's budget, counted. Whatever goes wrong in
here is a pass.
"""
