"""Reading outlines from GeoJSON (RFC 7946) strictly: polygons and multipolygons in WGS84, each named by a property.

Outlines are generated data, and generated data is hostile input: whatever the text holds, the answer is outlines that
geometry can rely on, or a refusal that names the feature.
"""

import json
from collections.abc import Iterator, Mapping

import shapely
from shapely.geometry import MultiPolygon
from shapely.geometry import Polygon as Ring

from services.places.atlas import Outline
from services.places.refusal import RegionRefused, text_of


def outlines_of(texts: Mapping[str, str | bytes], file: str, name_property: str) -> dict[str, Outline]:
    """Name -> valid, non-empty outline in degrees (x = lon, y = lat). Raises RegionRefused."""
    try:
        document = json.loads(text_of(texts, file))
    except json.JSONDecodeError as error:
        raise RegionRefused(f"{file} line {error.lineno}: not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise RegionRefused(f"{file}: not JSON that can be read: {error}") from error
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list):
        raise RegionRefused(f"{file}: expected a FeatureCollection with a list of features")
    outlines: dict[str, Outline] = {}
    for number, feature in enumerate(features, 1):
        try:
            name = str(feature["properties"][name_property])
            where = f"{file} feature {number} ({name[:60]!r})"
            if not name or name in outlines:
                raise RegionRefused(f"{where}: expected a {name_property} of its own")
            outlines[name] = _outline(feature["geometry"], where)
        except (LookupError, TypeError, ValueError, OverflowError, shapely.errors.GEOSException) as error:
            what = f"{type(error).__name__}: {error}"[:200]
            raise RegionRefused(f"{file} feature {number}: expected a named polygon or multipolygon: {what}") from error
    return outlines


def _outline(geometry: Mapping[str, object], where: str) -> Outline:
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind not in ("Polygon", "MultiPolygon") or not isinstance(coordinates, list):
        raise RegionRefused(f"{where}: expected a Polygon or MultiPolygon, got {kind!r}")
    parts = [coordinates] if kind == "Polygon" else coordinates
    rings_of_parts = [[list(_corners(ring, where)) for ring in part] for part in parts]
    polygons = [Ring(rings[0], rings[1:]) for rings in rings_of_parts]
    outline = polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)
    if outline.is_empty or not outline.is_valid:
        raise RegionRefused(f"{where}: the outline is unsound: {shapely.is_valid_reason(outline)}")
    return outline


def _corners(ring: object, where: str) -> Iterator[tuple[float, float]]:
    if not isinstance(ring, list) or len(ring) < 4:
        raise RegionRefused(f"{where}: expected rings of at least four positions")
    for position in ring:
        lon, lat = float(position[0]), float(position[1])
        if not (-180.0 <= lon <= 180.0 and -90.0 <= lat <= 90.0):
            raise RegionRefused(f"{where}: expected [longitude, latitude] in degrees, got [{lon}, {lat}]")
        yield lon, lat
