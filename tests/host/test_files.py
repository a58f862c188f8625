"""The files port: disk and memory keep one contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.host.files import DiskFiles, Files, FileTrouble, MemoryFiles, NoFile


@pytest.fixture(params=[DiskFiles, MemoryFiles])
def files(request: pytest.FixtureRequest) -> Files:
    """Each backend in turn."""
    made: Files = request.param()
    return made


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return [path.name for path in folder.iterdir()]


async def test_what_was_written_is_read_and_the_newest_stands(files: Files, tmp_path: Path) -> None:
    """A second text replaces the first, whatever their lengths and letters."""
    path = tmp_path / "snapshot.json"
    await files.write_text(path, "a longer first text, née")
    await files.write_text(path, "ü")
    assert await files.read_text(path) == "ü"


async def test_a_missing_file_is_told_by_its_path(files: Files, tmp_path: Path) -> None:
    """The message names the file and where to look; no folder where it might be is the same."""
    for path in (tmp_path / "nowhere.csv", tmp_path / "nowhere" / "nowhere.csv"):
        with pytest.raises(NoFile, match=r"nowhere\.csv.*setting"):
            await files.read_text(path)


@pytest.mark.parametrize("what", ["a folder", "a link to itself", "no text"])
async def test_what_is_there_and_cannot_be_read_is_not_called_missing(tmp_path: Path, what: str) -> None:
    """Who asks whether a file is there must know the difference."""
    path = tmp_path / "there"
    if what == "a folder":
        path.mkdir()
    elif what == "no text":
        path.write_bytes(b"\xff\xfe\x00")
    else:
        path.symlink_to(path)
    with pytest.raises(FileTrouble) as trouble:
        await DiskFiles().read_text(path)
    assert type(trouble.value) is FileTrouble


async def test_nothing_is_left_beside_a_file_that_was_written(tmp_path: Path) -> None:
    """The new text is written beside the old and renamed over it."""
    await DiskFiles().write_text(tmp_path / "snapshot.json", "text")
    assert names(tmp_path) == ["snapshot.json"]


async def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    """A folder in its place: refused, and nothing is left beside it."""
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(FileTrouble, match="cannot write"):
        await DiskFiles().write_text(tmp_path / "taken", "text")
    assert names(tmp_path) == ["taken"]


async def test_a_file_that_is_no_text_is_told_so(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are refused by name."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileTrouble, match="not UTF-8"):
        await DiskFiles().read_text(tmp_path / "bytes")
