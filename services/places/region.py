"""A region: its atlas and its directory, and the way from any place to PSAPs in order of preference.

Every place gets an answer. Without a usable place, at sea, or outside the region, the call goes to the region's default
PSAPs and the reason says why; it is never refused (domain.md: a missing or garbled location gets a default location).

Measured for Massachusetts on one core: loading 60 ms; locating a circle in a town 19 us, one at sea or abroad 0.12 ms,
the slowest outlines that we could make 4 ms. Measure it again with
    python -m timeit -s "from pathlib import Path; from services.domain.place import Circle
    from services.places.region import REGION_FILES, Region
    region = Region.from_texts({name: Path('data/massachusetts', name).read_bytes() for name in REGION_FILES})
    place = Circle(42.36, -71.06, 100)" "region.locate(place)"
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.domain.place import Place, flaw
from services.places.atlas import Atlas
from services.places.directory import CREDENTIALS_FILE, Directory, Psap, known_psap, read_directory
from services.places.geojson import outlines_of
from services.places.refusal import RegionRefused, rows_of

REGION_FILES = (
    "region.csv",
    "towns.geojson",
    "neighbours.geojson",
    "psaps.csv",
    "service_areas.csv",
    "alternates.csv",
    "lines.csv",
)
"""The files that make a region; all must be there."""
INSTALLATION_FILES = (CREDENTIALS_FILE,)
"""Files that an installation adds to a region; they may be absent."""


@dataclass(frozen=True, slots=True)
class Located:
    """Where a call belongs. `candidates` are PSAP ids in order of preference, never empty, the first being the primary.

    `reason` is a `FoundBy` or `PlaceFlaw` value. `town` is None when a default route was taken.
    """

    candidates: tuple[str, ...]
    town: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Region:
    """One region, whole and checked. `candidates_by_town` names every town of the atlas."""

    name: str
    atlas: Atlas
    directory: Directory
    candidates_by_town: Mapping[str, tuple[str, ...]]
    default_psaps: tuple[str, ...]

    def locate(self, place: Place) -> Located:
        """The PSAPs for a place. Never raises, for any floats; a polygon of too many points is refused by its count."""
        place_flaw = flaw(place)
        if place is None or place_flaw is not None:
            return Located(self.default_psaps, None, place_flaw or "no_place")
        found = self.atlas.find(place)
        if found.town is None:
            return Located(self.default_psaps, None, found.by)
        return Located(self.candidates_by_town[found.town], found.town, found.by)

    @classmethod
    def from_texts(cls, texts: Mapping[str, str | bytes]) -> "Region":
        """The region of the files' texts, by file name. Raises RegionRefused with file and line for anything broken."""
        directory = read_directory(texts)
        settings = _settings(texts, directory.psaps)
        towns = outlines_of(texts, "towns.geojson", "town")
        if not towns:
            raise RegionRefused("towns.geojson: expected at least one town")
        primaries = _primaries(texts, towns, directory.psaps)
        neighbours = outlines_of(texts, "neighbours.geojson", "name")
        atlas = Atlas(towns, tuple(neighbours.values()), settings.nearest_town_within_m, settings.sea_within_m)
        candidates = {town: directory.candidates_from(psap_id) for town, psap_id in primaries.items()}
        return cls(settings.name, atlas, directory, candidates, settings.default_psaps)


@dataclass(frozen=True, slots=True)
class _Settings:
    name: str
    default_psaps: tuple[str, ...]
    nearest_town_within_m: int
    sea_within_m: int


def _settings(texts: Mapping[str, str | bytes], psaps: Mapping[str, Psap]) -> _Settings:
    name = ""
    defaults: list[str] = []
    metres: dict[str, int] = {}
    for row in rows_of(texts, "region.csv", ("key", "value")):
        match row["key"]:
            case "name":
                name = row.filled("value")
            case "default_psap":
                defaults.append(known_psap(row, "value", psaps))
            case "nearest_town_within_m" | "sea_within_m" as key:
                metres[key] = row.integer("value", 0, 1_000_000)
            case other:
                raise row.refuse(
                    f"key: expected name, default_psap, nearest_town_within_m or sea_within_m, got {other[:40]!r}"
                )
    if not name or not defaults or len(set(defaults)) != len(defaults) or len(metres) != 2:
        raise RegionRefused(
            "region.csv: expected name, nearest_town_within_m, sea_within_m and at least one default_psap, none twice"
        )
    return _Settings(name, tuple(defaults), metres["nearest_town_within_m"], metres["sea_within_m"])


def _primaries(
    texts: Mapping[str, str | bytes], towns: Mapping[str, object], psaps: Mapping[str, Psap]
) -> dict[str, str]:
    primaries: dict[str, str] = {}
    for row in rows_of(texts, "service_areas.csv", ("town", "psap_id")):
        town = row.filled("town")
        if town not in towns or town in primaries:
            raise row.refuse(f"town: expected one of towns.geojson, each once, got {town!r}")
        primaries[town] = known_psap(row, "psap_id", psaps)
    missing = sorted(set(towns) - set(primaries))
    if missing:
        raise RegionRefused(f"service_areas.csv: no PSAP for {', '.join(missing[:5])}; each town needs one")
    return primaries
