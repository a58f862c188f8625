"""Broken regions: refused whole, with the file and the line, and never by any other exception."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.places.refusal import RegionRefused
from services.places.region import REGION_FILES, Region

Texts = dict[str, str | bytes]


def refusal(texts: Texts, file: str, old: str, new: str) -> str:
    """The reason given when `old` in one file is replaced by `new`."""
    text = texts[file]
    assert isinstance(text, str)
    assert old in text, "the test must break something"
    with pytest.raises(RegionRefused) as caught:
        Region.from_texts({**texts, file: text.replace(old, new, 1)})
    return caught.value.reason


@pytest.mark.parametrize(
    ("file", "old", "new", "where", "what"),
    [
        ("region.csv", "name,Two towns\n", "", "region.csv", "expected name"),
        ("region.csv", "default_psap,9", "default_psap,8", "region.csv line 3", "'8'"),
        ("region.csv", "sea_within_m,50000", "sea_within_m,far", "region.csv line 5", "whole number"),
        ("region.csv", "sea_within_m", "see_within_m", "region.csv line 5", "expected name"),
        ("psaps.csv", "2,Easton", "1,Easton", "psaps.csv line 3", "taken"),
        ("psaps.csv", "2,Easton", "region,Easton", "psaps.csv line 3", "taken"),
        ("psaps.csv", ",municipal", "", "psaps.csv line 2", "expected 4 fields, got 3"),
        ("psaps.csv", "psap_id", "id", "psaps.csv line 1", "expected columns"),
        ("service_areas.csv", "Easton,2,own\n", "", "service_areas.csv", "no PSAP for Easton"),
        ("service_areas.csv", "Easton,2", "Weston,2", "service_areas.csv line 3", "each once"),
        ("service_areas.csv", "Easton,2", "Easton,7", "service_areas.csv line 3", "'7'"),
        ("service_areas.csv", "Weston", "Norton", "service_areas.csv line 2", "Norton"),
        ("alternates.csv", "2,1,1", "2,1,2", "alternates.csv line 4", "itself"),
        ("alternates.csv", "1,1,2", "1,2,2", "alternates.csv line 3", "taken"),
        ("lines.csv", "+16175550101", "617-555-0101", "lines.csv line 2", "E.164"),
        ("lines.csv", "+16175550101", "+16175550100", "lines.csv line 3", "already a line"),
        ("lines.csv", "+16175550101,2", "+16175550101,0", "lines.csv line 2", "from 1"),
        ("lines.csv", "2,1,+16175550102,1\n", "", "lines.csv", "no line for '2'"),
        ("lines.csv", "region,1,+16175550104,30\n", "", "lines.csv", "no line for 'region'"),
        ("lines.csv", "region,1", "regoin,1", "lines.csv line 6", "regoin"),
        ("lines.csv", "owner,", '"owner,', "lines.csv line 7", "not CSV"),
        ("credentials.csv", "abab", "xyz", "credentials.csv line 2", "64 hexadecimal digits"),
        ("credentials.csv", "1,ab", "5,ab", "credentials.csv line 2", "'5'"),
        ("towns.geojson", '"Easton"', '"Weston"', "towns.geojson feature 2", "of its own"),
        ("towns.geojson", '"town"', '"name"', "towns.geojson feature 1", "KeyError"),
        (
            "towns.geojson",
            "[-71.0,42.0],[-71.0,42.1]",
            "[-71.0,42.1],[-71.0,42.0]",
            "towns.geojson feature 1",
            "unsound",
        ),
        ("towns.geojson", "[-71.1,42.0]", "[-71.1,142.0]", "towns.geojson feature 1", "longitude, latitude"),
        ("towns.geojson", "[-71.1,42.0]", "[NaN,42.0]", "towns.geojson feature 1", "longitude, latitude"),
        ("towns.geojson", "]}\n", "\n", "towns.geojson line", "not JSON"),
        ("towns.geojson", '"Polygon"', '"Point"', "towns.geojson feature 1", "'Point'"),
    ],
)
def test_a_broken_table_is_refused_with_file_and_line(
    texts: Texts, file: str, old: str, new: str, where: str, what: str
) -> None:
    """An operator who edited a table is told where, what was expected and what came."""
    reason = refusal(texts, file, old, new)
    assert reason.startswith(where)
    assert what in reason


@pytest.mark.parametrize("file", REGION_FILES)
def test_each_file_of_a_region_must_be_there_and_be_utf_8(texts: Texts, file: str) -> None:
    """A half-copied folder is not a region."""
    with pytest.raises(RegionRefused, match=f"{file}: missing"):
        Region.from_texts({name: text for name, text in texts.items() if name != file})
    with pytest.raises(RegionRefused, match=f"{file}: expected UTF-8, byte 1"):
        Region.from_texts({**texts, file: b"k\xff"})


def test_a_region_may_come_without_credentials_and_in_bytes_with_a_mark(texts: Texts) -> None:
    """Credentials are an installation's own; a spreadsheet writes UTF-8 with a byte-order mark and CRLF."""
    as_bytes = {name: str(text).replace("\n", "\r\n").encode("utf-8-sig") for name, text in texts.items()}
    del as_bytes["credentials.csv"]
    assert Region.from_texts(as_bytes).candidates_by_town == Region.from_texts(texts).candidates_by_town


def test_deep_nesting_is_refused(texts: Texts) -> None:
    """Generated data is hostile input: a parser's recursion limit is a refusal, too."""
    with pytest.raises(RegionRefused, match="not JSON that can be read"):
        Region.from_texts({**texts, "towns.geojson": "[" * 200_000})


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_a_region_or_a_refusal_and_nothing_else(texts: Texts, data: st.DataObject) -> None:
    """Cut, overwritten or doubled anywhere: whatever is wrong comes out as RegionRefused."""
    file = data.draw(st.sampled_from(sorted(texts)))
    text = str(texts[file])
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 20, len(text))))
    put: Any = data.draw(
        st.one_of(st.text(max_size=8), st.sampled_from(["", "null", "[]", "{}", "1e999", '"', "-1", text]))
    )
    try:
        region = Region.from_texts({**texts, file: text[:start] + put + text[end:]})
    except RegionRefused:
        return
    assert set(region.locate(None).candidates) <= set(region.directory.psaps)
