"""Two regions: the sample that ships with the project, and one of two square towns whose texts the tests may break."""

from pathlib import Path

import pytest

from services.places.region import REGION_FILES, Region

SAMPLE = Path(__file__).parents[2] / "data" / "massachusetts"


@pytest.fixture(scope="session")
def sample_texts() -> dict[str, bytes]:
    return {name: (SAMPLE / name).read_bytes() for name in REGION_FILES}


@pytest.fixture(scope="session")
def sample(sample_texts: dict[str, bytes]) -> Region:
    return Region.from_texts(sample_texts)


def square(key: str, name: str, west: float, south: float) -> str:
    """A feature one tenth of a degree wide."""
    east, north = round(west + 0.1, 1), round(south + 0.1, 1)
    ring = f"[[{west},{south}],[{east},{south}],[{east},{north}],[{west},{north}],[{west},{south}]]"
    return (
        f'{{"type":"Feature","properties":{{"{key}":"{name}"}},"geometry":{{"type":"Polygon","coordinates":[{ring}]}}}}'
    )


def collection(*features: str) -> str:
    return '{"type":"FeatureCollection","features":[\n' + ",\n".join(features) + "\n]}\n"


@pytest.fixture
def texts() -> dict[str, str | bytes]:
    """Easton and Weston share a border at 71 degrees west; Northland lies above Weston, open sea to the south-east."""
    return {
        "region.csv": "key,value\nname,Two towns\ndefault_psap,9\nnearest_town_within_m,2000\nsea_within_m,50000\n",
        "towns.geojson": collection(square("town", "Weston", -71.1, 42.0), square("town", "Easton", -71.0, 42.0)),
        "neighbours.geojson": collection(square("name", "Northland", -71.1, 42.1)),
        "psaps.csv": (
            "psap_id,name,town,kind\n1,Weston Police,Weston,municipal\n2,Easton Fire,Easton,municipal\n"
            "9,Troop A,,state_police\n"
        ),
        "service_areas.csv": "town,psap_id,how\nWeston,1,own\nEaston,2,own\n",
        "alternates.csv": "psap_id,order,alternate_id\n1,2,9\n1,1,2\n2,1,1\n",
        "lines.csv": (
            "owner,order,number,channels\n1,2,+16175550101,2\n1,1,+16175550100,1\n2,1,+16175550102,1\n"
            "9,1,+16175550103,4\nregion,1,+16175550104,30\nnuisance-desk,1,+16175550105,10\n"
        ),
        "credentials.csv": f"psap_id,sha256\n1,{'ab' * 32}\n",
    }
