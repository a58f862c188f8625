"""`throughline balance` and `throughline tail`, at the edge of the world: options, Kafka, terminal, exit codes.

Exit codes: 0 all is well; 1 the books do not balance, a call was connected twice, or there is no such call; 2 an option
that cannot be used; 64 settings that cannot; 66 a file that they name; 69 the journal cannot be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar

import typer
from rich.console import Console

from services.host.addresses import checked
from services.host.clock import wall_ms
from services.host.exits import EXIT_UNAVAILABLE
from services.journal import Log, Topic
from services.readers import balance as books_read
from services.readers.pages import balance_page, story_page
from services.readers.reading import NoJournal
from services.readers.since import BadInstant, parse_since, span_ms
from services.readers.tail import tail as tail_records

EXIT_WRONG: Final = 1
_WIDE: Final = 200
_KAFKA: Final = "127.0.0.1:9092"
_TOPICS: Final = ", ".join(Topic)

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
Since = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="From when on: 10m, 2h, 1d ago, or an instant such as 2024-06-18T13:15."),
]
ShowNumbers = Annotated[bool, typer.Option("--show-numbers", help="Show callers' numbers and places in clear.")]


def balance(
    kafka: Kafka = _KAFKA,
    since: Since = None,
    by: Annotated[
        str | None, typer.Option(metavar="SPAN", help="Also a row for each window of this length: 30s, 5m, 1h.")
    ] = None,
    call: Annotated[
        str | None, typer.Option(metavar="ID", help="Tell the story of one call instead, fact by fact.")
    ] = None,
    show_numbers: ShowNumbers = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a table.")] = False,
) -> None:
    """Read the journal to its end and balance the books.

    offered = answered + diverted + callback open + callback closed + in progress; test calls apart. Reads `calls`
    alone, writes nothing, and can be pointed at any Kafka. Exit code 0 only if the books balance and nobody is
    connected twice.

    Examples: throughline balance --since 2h --by 10m; throughline balance --kafka broker:9092 --json;
    throughline balance --call 8c1f2b7e
    """
    now_ms = wall_ms()
    since_ms = _instant(since, now_ms)
    if call is not None:
        _tell_story(kafka, call, since_ms, show_numbers)
        return
    try:
        window_ms = span_ms(by) if by is not None else None
    except BadInstant as bad:
        raise typer.BadParameter(str(bad), param_hint="--by") from None
    result = _with_journal(kafka, lambda log: books_read.balance(log, now_ms, since_ms, window_ms))
    if as_json:
        typer.echo(json.dumps(books_read.as_json(result), indent=2))
    else:
        _console().print(balance_page(result))
    raise typer.Exit(0 if result.books.sound else EXIT_WRONG)


def tail(
    kafka: Kafka = _KAFKA,
    topic: Annotated[
        list[Topic] | None,
        typer.Option(metavar="TOPIC", help=f"One of {_TOPICS}; give it again for more. Default: calls."),
    ] = None,
    since: Since = None,
    show_numbers: ShowNumbers = False,
    ticks: Annotated[bool, typer.Option("--ticks", help="Also ticks, by which processes say that they live.")] = False,
) -> None:
    """Show records as they land, one line each, until Ctrl-C.

    Examples: throughline tail; throughline tail --topic calls --topic deliveries --since 5m
    """
    now_ms = wall_ms()
    since_ms = _instant(since, now_ms) or now_ms
    topics = list(dict.fromkeys(topic or [Topic.CALLS]))
    try:
        _with_journal(
            kafka,
            lambda log: tail_records(log, topics, since_ms, typer.echo, show_numbers=show_numbers, ticks=ticks),
        )
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    except BrokenPipeError:  # whoever read our lines has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


def _tell_story(kafka: str, call_id: str, since_ms: int | None, show_numbers: bool) -> None:
    facts = _with_journal(kafka, lambda log: books_read.facts_of(log, call_id, since_ms))
    if not facts:
        typer.echo(f"expected facts of the call {call_id!r} in `calls`; there are none. Is the id whole?", err=True)
        raise typer.Exit(EXIT_WRONG)
    _console().print(story_page(facts, show_numbers))


def _console() -> Console:
    """As wide as the terminal; wide enough for any line where there is none, so that a search finds it."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_WIDE)


def _instant(since: str | None, now_ms: int) -> int | None:
    if since is None:
        return None
    try:
        return parse_since(since, now_ms)
    except BadInstant as bad:
        raise typer.BadParameter(str(bad), param_hint="--since") from None


def _with_journal(kafka: str, read: Callable[[Log], Awaitable[T]]) -> T:
    """Reads with a log of its own; ends with one line where it cannot be read."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)  # its troubles are in our own line
    servers = tuple(server.strip() for server in kafka.split(",") if server.strip())

    async def reading() -> T:
        from services.host.kafka_settings import commands_access
        from services.journal.kafka import KafkaLog  # aiokafka takes a while to import; --help needs none of it

        log = KafkaLog(",".join(servers), client_id="throughline-reader", access=commands_access())
        await log.start()
        try:
            return await read(log)
        finally:
            with contextlib.suppress(asyncio.CancelledError):
                await log.close()

    try:
        return asyncio.run(reading())
    except NoJournal as trouble:
        typer.echo(f"cannot read the journal at {', '.join(servers)}: {trouble}", err=True)
        raise typer.Exit(EXIT_UNAVAILABLE) from None
