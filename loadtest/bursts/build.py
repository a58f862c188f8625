"""Cuts the storm trace out of the records named in SOURCES.md.

    python loadtest/bursts/build.py SOURCE_CSV [OUTPUT_CSV]

Only the second of each call and its type are kept: the replay places the calls elsewhere, and nobody's street is
needed for that. The type is what stands before the colon of the record's title: EMS, Fire or Traffic.
"""

import csv
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

CALLS = 386


def cut(source: Path) -> list[tuple[str, str]]:
    """(ts_call, type) of each call, in order of time; the local time of Montgomery County, Pennsylvania."""
    with source.open(encoding="utf-8", newline="") as text:
        calls = [(row["ts_call"], row["title"].partition(":")[0].strip()) for row in csv.DictReader(text)]
    for ts_call, kind in calls:
        datetime.strptime(ts_call, "%Y-%m-%d %H:%M:%S")
        assert kind in ("EMS", "Fire", "Traffic"), f"expected EMS, Fire or Traffic, got {kind!r}"
    assert len(calls) == CALLS, f"expected {CALLS} calls, got {len(calls)}"
    return sorted(calls)


def main(arguments: Sequence[str]) -> None:
    if len(arguments) not in (1, 2) or not Path(arguments[0]).is_file():
        raise SystemExit("expected: build.py SOURCE_CSV [OUTPUT_CSV]; SOURCES.md names the source")
    output = Path(arguments[1]) if len(arguments) == 2 else Path(__file__).with_name("storm-2016-02-24.csv")
    calls = cut(Path(arguments[0]))
    with output.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text, lineterminator="\n").writerows([("ts_call", "type"), *calls])
    print(f"{output}: {len(calls)} calls, {calls[0][0]} to {calls[-1][0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
