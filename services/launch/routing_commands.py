"""`throughline routing`: publish a region, see what is published, go back.

Exit codes: 0 all is well; 1 what was wanted did not take effect, or what is current cannot be served; 2 an option that
cannot be used; 64 settings that cannot; 66 a file that they name, or the folder holds no region that can be used; 69
Kafka does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, NoReturn, TypeVar

import typer

from services.domain.publication import Torn, Version
from services.host.addresses import checked
from services.host.clock import wall_ms
from services.host.exits import EXIT_FILE, EXIT_UNAVAILABLE
from services.journal import Log
from services.launch.publishing import NotPublished, Published, publish, revert, shelf_of
from services.places.refusal import RegionRefused
from services.places.region import REGION_FILES, Region
from services.readers.reading import NoJournal
from services.readers.wording import plain

EXIT_WRONG: Final = 1
_KAFKA: Final = "127.0.0.1:9092"

T = TypeVar("T")
Kafka = Annotated[
    str,
    typer.Option(
        envvar="THROUGHLINE_KAFKA",
        metavar="HOST:PORT",
        callback=checked,
        help="Bootstrap servers, separated by commas.",
    ),
]
Note = Annotated[str, typer.Option(metavar="TEXT", help="Why; it stands in the history.")]
Author = Annotated[str, typer.Option(envvar="USER", metavar="NAME", help="Who; it stands in the history.")]

routing = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@routing.callback()
def _routing() -> None:
    """The region that is published on the topic `routing`, and that every service takes from there.

    Examples: throughline routing publish data/massachusetts --note "new lines for 3203"; throughline routing status;
    throughline routing history; throughline routing revert 3
    """


@routing.command("publish")
def publish_region(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=f"Holds {', '.join(REGION_FILES)}.")],
    note: Note = "",
    author: Author = "",
    kafka: Kafka = _KAFKA,
) -> None:
    """Make a folder's region current everywhere, as the next version. The same content again makes no new version.

    The region is checked whole first, as each service checks it: a broken one is refused here with its file and line
    (exit code 66), and nothing is written. Credentials are not published: they stay with the installation.

    Example: throughline routing publish data/massachusetts --note "new lines for 3203" --kafka broker-1:9092
    """
    contents = _contents(folder)
    published = _with_log(kafka, lambda log: publish(log, contents, author, note, wall_ms))
    _tell(published)


@routing.command("revert")
def revert_region(
    version: Annotated[int, typer.Argument(metavar="N", min=1, help="The version whose files are wanted again.")],
    note: Note = "",
    author: Author = "",
    kafka: Kafka = _KAFKA,
) -> None:
    """Make an old version's files current again, as a new version: numbers only rise, and nothing is forgotten.

    Example: throughline routing revert 3 --note "4 sent Worcester to the wrong desk"
    """
    _tell(_with_log(kafka, lambda log: revert(log, version, author, note, wall_ms)))


@routing.command("status")
def status(kafka: Kafka = _KAFKA) -> None:
    """Say which version is current, what it holds, and whether services can build it; exit code 1 where they cannot.

    Which version each process serves is its metric `throughline_region_version`, and 1 in
    `throughline_region_not_current` where that is not the current one.

    Example: throughline routing status --kafka broker-1:9092
    """
    standing = _with_log(kafka, shelf_of).standing()
    if standing is None:
        typer.echo("nothing is published: every service serves the region of its own region_dir")
        return
    if isinstance(standing, Torn):
        typer.echo(f"version {standing.number} is current and torn, so nobody takes it: {plain(standing.reason)}")
        typer.echo("do: throughline routing publish DIR, or throughline routing revert N")
        raise typer.Exit(EXIT_WRONG)
    typer.echo(_line(standing.version))
    for file in standing.version.files:
        typer.echo(f"  {plain(file.name):<20} {file.size_bytes:>9,} bytes  {file.sha256[:12]}")
    try:
        _check(standing.contents)
    except RegionRefused as refused:
        typer.echo(f"it is refused, so nobody takes it: {refused.reason}")
        raise typer.Exit(EXIT_WRONG) from None


@routing.command("history")
def history(kafka: Kafka = _KAFKA) -> None:
    """List every version, the newest first; a star stands before the current one.

    Example: throughline routing history
    """
    shelf = _with_log(kafka, shelf_of)
    current = shelf.current
    for version in reversed(shelf.versions):
        star = "*" if current is not None and current.digest == version.digest else " "
        typer.echo(f"{star} {_line(version)}")
    if not shelf.versions:
        typer.echo("nothing was ever published")


def _contents(folder: Path) -> dict[str, bytes]:
    """The region's files, checked; ends with one line where they cannot be used."""
    try:
        contents = {name: (folder / name).read_bytes() for name in REGION_FILES}
        _check(contents)
    except OSError as error:
        _refuse(f"cannot read {error.filename}: {error.strerror}; expected a region's folder", EXIT_FILE)
    except RegionRefused as refused:
        _refuse(f"{folder} holds no region that can be used: {refused.reason}", EXIT_FILE)
    return contents


def _check(contents: Mapping[str, bytes]) -> None:
    Region.from_texts(dict(contents))


def _tell(published: Published) -> None:
    version = published.version
    if published.fresh:
        typer.echo(f"published {_line(version)}")
        typer.echo("Each service takes it within seconds: see its metric throughline_region_version.")
    else:
        typer.echo(f"version {version.number} has this content already; nothing was written")


def _line(version: Version) -> str:
    size_bytes = sum(file.size_bytes for file in version.files)
    words = [f"version {version.number}", _instant(version.at_ms), f"{size_bytes:,} bytes"]
    words += [f"by {plain(version.author)}"] if version.author else []
    words += [f"the files of version {version.reverts_to}"] if version.reverts_to else []
    words += [plain(version.note)] if version.note else []
    return ", ".join(words)


def _instant(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"({at_ms} ms)"


def _refuse(why: str, code: int) -> NoReturn:
    typer.echo(f"throughline routing: {why}", err=True)
    raise typer.Exit(code)


def _with_log(kafka: str, act: Callable[[Log], Awaitable[T]]) -> T:
    """Acts with a log of its own; ends with one line where that cannot be done."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)  # its troubles are in our own line
    servers = ",".join(server.strip() for server in kafka.split(",") if server.strip())

    async def acting() -> T:
        from services.host.kafka_settings import commands_access
        from services.journal.kafka import KafkaLog  # aiokafka takes a while to import; --help needs none of it

        log = KafkaLog(servers, client_id="throughline-routing", access=commands_access())
        await log.start()
        try:
            return await act(log)
        finally:
            with contextlib.suppress(asyncio.CancelledError):
                await log.close()

    try:
        return asyncio.run(acting())
    except NoJournal as trouble:
        _refuse(f"cannot read `routing` at {servers}: {trouble}", EXIT_UNAVAILABLE)
    except NotPublished as why:
        _refuse(str(why), EXIT_WRONG)
