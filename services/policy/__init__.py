"""Policies: what a person may write about calls, how it is read, checked, evaluated and watched. Pure.

A bundle (`bundle.py`) is one YAML file of rules in CEL over typed attributes (`attributes.py`). It can say pass, flag
or divert to a staffed desk; it has no other word. The firewall gives it calls, the commands give it recorded ones, and
both use what is here, so that what was checked is what screens. One room for each question: `language` reads a `when`,
`files` a bundle and its signatures, `checks` finds what is wrong with it, `verdicts` says what it means for a call and
holds it within its limits, `life` leads it to live and back, `replays` compares it with what is live.
"""
