"""A PSAP gateway's decisions: who is attached, what rings there, who has a call. `switchboard.py` is the door."""
