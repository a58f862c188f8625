"""What is written from the code is up to date, and says what an operator needs: units, kinds, labels, meaning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.host.settings import ROOT, ServiceSettings
from services.launch.catalogue import SERVICES
from services.launch.papers import metrics, papers

UNITS = {"_ms": "milliseconds", "_s": "seconds", "_bytes": "bytes"}
KINDS = [ServiceSettings, *(runnable.load_settings() for runnable in SERVICES.values())]


@pytest.mark.parametrize("path", papers(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_paper_says_what_the_code_says(path: Path) -> None:
    """Every setting and every metric is documented, and the picture is the table's: `make papers` writes them."""
    assert path.read_text("utf-8") == papers()[path], f"{path.name} is not up to date: run `make papers`"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_setting_says_what_it_is_and_in_which_unit(kind: type[ServiceSettings]) -> None:
    """A name that ends in its unit has the unit's word in its description; every description is a sentence."""
    for name, field in kind.model_fields.items():
        description = field.description or ""
        assert re.fullmatch(r"[A-Z].*\.", description), f"{name}: a sentence, please; not {description!r}"
        for suffix, word in UNITS.items():
            if name.endswith(suffix):
                assert word in description.lower(), f"{name}: expected {word!r} in {description!r}"


def test_every_metric_is_named_and_explained_as_the_others_are() -> None:
    """`throughline_<service>_...`, a unit at the end of a measure, a sentence that says what is counted and when."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \| (.+) \|$", metrics(), re.MULTILINE)
    assert len(rows) > 20
    for name, kind, labels, text in rows:
        assert name.startswith("throughline_"), name
        assert re.fullmatch(r"[A-Z1].*\.", text), f"{name}: a sentence, please; not {text!r}"
        assert kind != "histogram" or name.endswith(("_seconds", "_bytes")), f"{name}: a unit at the end, please"
        for label in re.findall(r"`(\w+)`", labels):
            assert label not in {"call_id", "caller", "attempt"}, f"{name}: {label} has no bounded number of values"
