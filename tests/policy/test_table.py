"""The table in which a firewall keeps an hour of callers: a dictionary, in room that is taken once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.policy.verdicts.table import Table

KEYS = st.integers(-(2**63), 2**63 - 1) | st.integers(-70, 70) | st.integers(-20, 20).map(lambda n: n << 40)
"""Many of them want the same place, and some the last one."""


@given(st.lists(st.tuples(KEYS, st.floats(allow_nan=False)), max_size=60))
def test_a_table_says_what_a_dictionary_would(noted: list[tuple[int, float]]) -> None:
    """Wherever keys meet; 0 and 1 alone are one key, which is one collision more in 2^64."""
    table, model = Table(60), dict[int, float]()
    for key, value in noted:
        assert table.get(key) == model.get(key or 1)
        table[key] = value
        model[key or 1] = value
        assert len(table) == len(model)
    assert all(table.get(key) == value for key, value in model.items())


def test_a_full_table_still_has_free_places() -> None:
    """Else a search for what is not there would have no end."""
    for keys_max in (*range(1, 200), 10_000):
        table = Table(keys_max)
        for key in range(1, keys_max + 1):
            table[key * 2**20] = 1.0
        assert table.get(5) is None
