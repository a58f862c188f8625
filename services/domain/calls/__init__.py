"""The machine of one call and leg, from its offer to its one outcome. `call.py` is the door."""
