"""The data that ships with the project: whole, small, and without any number that could be somebody's."""

import csv
import json
import re
from collections import Counter
from datetime import datetime
from pathlib import Path

from services.places.directory import DESKS
from services.places.region import Region

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "massachusetts"
STORM = ROOT / "loadtest" / "bursts" / "storm-2016-02-24.csv"
AREA_CODES = {"339", "351", "413", "508", "617", "774", "781", "857", "978"}


def test_no_line_could_be_anybodys() -> None:
    """Every number is +1, a Massachusetts area code, 555, 01XX, and none is given twice."""
    numbers = [row["number"] for row in csv.DictReader((SAMPLE / "lines.csv").read_text().splitlines())]
    for number in numbers:
        match = re.fullmatch(r"\+1(\d{3})55501\d\d", number)
        assert match is not None, number
        assert match[1] in AREA_CODES, number
    assert max(Counter(numbers).values()) == 1


def test_every_town_has_a_psap_and_every_psap_has_alternates_and_lines(sample: Region) -> None:
    """351 towns, 252 PSAPs of the registry, two or three lines each, and the desks."""
    assert len(sample.candidates_by_town) == 351
    assert len(sample.directory.psaps) == 252
    assert set(sample.directory.lines) == {*sample.directory.psaps, *DESKS}
    for psap_id, psap in sample.directory.psaps.items():
        assert 3 <= len(sample.directory.alternates[psap_id]) <= 5, psap
        assert 2 <= len(sample.directory.lines_of(psap_id)) <= 3, psap
    assert len(sample.directory.lines_of("region")) >= 3


def test_no_back_up_or_military_centre_serves_a_town(sample: Region) -> None:
    """They may stand in; nobody's first call goes there."""
    serving = {sample.directory.psaps[candidates[0]].kind for candidates in sample.candidates_by_town.values()}
    assert serving == {"municipal", "regional", "state_police"}
    assert {sample.directory.psaps[psap_id].kind for psap_id in sample.default_psaps} == {"state_police"}


def test_the_towns_carry_their_people() -> None:
    """The replay draws towns by population: 6,547,629 people in the census of 2010."""
    features = json.loads((SAMPLE / "towns.geojson").read_text())["features"]
    assert sum(feature["properties"]["population"] for feature in features) == 6_547_629


def test_the_sample_is_under_a_megabyte_and_each_file_has_its_origin() -> None:
    """SOURCES.md names origin and licence of every file beside it."""
    for folder in (SAMPLE, STORM.parent):
        sources = (folder / "SOURCES.md").read_text()
        files = [path for path in folder.iterdir() if path.suffix in (".csv", ".geojson")]
        assert files
        assert [path.name for path in files if f"`{path.name}`" not in sources] == []
        assert sum(path.stat().st_size for path in files) < 1_000_000


def test_the_storm_is_whole_and_in_order() -> None:
    """386 calls between 18:00 and midnight at their true seconds, at most 27 in any ten minutes."""
    rows = list(csv.DictReader(STORM.read_text().splitlines()))
    instants = [row["ts_call"] for row in rows]
    assert len(instants) == 386
    assert instants == sorted(instants)
    assert all(re.fullmatch(r"2016-02-24 (1[89]|2[0-3]):[0-5]\d:[0-5]\d", instant) for instant in instants)
    assert set(rows[0]) == {"ts_call", "type"}
    seconds = [datetime.fromisoformat(instant).timestamp() for instant in instants]
    assert max(sum(start <= second < start + 600 for second in seconds) for start in seconds) == 27
