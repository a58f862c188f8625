"""Reads a service's region through its files port, with the installation's credentials.

A folder that is broken stops a service at its start, with the file and line. What a service needs of a region is a
`Kind`: the whole, or only the directory of PSAPs and lines, which takes three files and no geometry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from services.host.files import Files
from services.host.settings import ServiceSettings
from services.places.directory import CREDENTIALS_FILE, Directory, read_credentials, read_directory
from services.places.region import REGION_FILES, Region

DIRECTORY_FILES: Final = ("psaps.csv", "alternates.csv", "lines.csv")

T = TypeVar("T")
Texts = Mapping[str, str | bytes]
Hashes = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """What a service needs of a region.

    files: what it reads of the baked-in folder. read: makes it of their texts, once they are known to be good.
    checked: makes it of a published region, which is checked whole, so that no service takes what another refuses.
    admit: adds the installation's credentials; None where it needs none. Both readers raise RegionRefused.
    """

    files: tuple[str, ...]
    read: Callable[[Texts], T]
    checked: Callable[[Texts], T]
    admit: Callable[[T, Hashes], T] | None


WHOLE: Final[Kind[Region]] = Kind(REGION_FILES, Region.from_texts, Region.from_texts, None)
DIRECTORY: Final[Kind[Directory]] = Kind(
    DIRECTORY_FILES, read_directory, lambda texts: Region.from_texts(texts).directory, Directory.with_credentials
)


async def load_region(files: Files, settings: ServiceSettings) -> Region:
    """The region in `settings.region_dir` and its credentials, strictly; raises FileTrouble or RegionRefused."""
    texts = await baked_in(files, settings, REGION_FILES)
    if settings.credentials_file is not None:
        texts[CREDENTIALS_FILE] = await files.read_text(settings.credentials_file)
    return Region.from_texts(texts)


async def baked_in(files: Files, settings: ServiceSettings, names: tuple[str, ...]) -> dict[str, str | bytes]:
    """The texts of some files of `settings.region_dir`; raises FileTrouble."""
    return {name: await files.read_text(settings.region_dir / name) for name in names}


async def load_credentials(files: Files, settings: ServiceSettings) -> Hashes:
    """The installation's credentials, whichever PSAPs the region knows; raises FileTrouble or RegionRefused."""
    if settings.credentials_file is None:
        return {}
    return read_credentials({CREDENTIALS_FILE: await files.read_text(settings.credentials_file)})
