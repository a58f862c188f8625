"""The ACLs of docs/firewall.md, typed at a real broker that lets nobody in without a name: both sides of every row."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from services.host.kafka_settings import access_of
from services.host.lifeline import Lifeline
from services.host.run import CLOSE_S
from services.host.settings import ROOT, ServiceSettings, load
from services.journal import Topic, Unavailable
from services.journal.kafka import KafkaLog
from services.journal.kafka_access import PLAIN_TEXT, Access
from services.journal.kafka_follower import KafkaFollower
from services.launch.child import Child
from services.launch.installation import COUNTS, Installation
from tests import acls
from tests.system.guarded_kafka import Guarded, guarded_kafka

REGION: Final = ROOT / "data" / "massachusetts"
WITHIN_S: Final = 20.0
pytestmark = pytest.mark.timeout(300)  # two dozen Javas, one for each command of the paper
NO_ACL: Final = "no ACL of Kafka's lets us write there"
NO_ACL_TO_READ: Final = "no ACL of Kafka's lets us read there"


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """What the paper says, typed in its order; then one record on each topic, by the administrator."""
    with guarded_kafka(tmp_path_factory.mktemp("guarded")) as made:
        topics = made.type(acls.block("sh", "export THROUGHLINE_KAFKA="), PYTHONPATH=":".join(sys.path))
        assert topics.count("created ") == len(Topic)
        made.type(acls.block("sh", "umask"))
        made.type(acls.block("sh", "acl()"))
        asyncio.run(seed(made))
        yield made


def by_password(kafka: Guarded, name: str, password_of: str = "") -> Access:
    """As a service's settings say it."""
    file = kafka.folder / f"{password_of or name}.password"
    ca = kafka.folder / "ca.pem"
    return access_of(
        load(ServiceSettings, kafka_protocol="SASL_SSL", kafka_ca_file=ca, kafka_user=name, kafka_password_file=file)
    )


def by_certificate(kafka: Guarded, name: str) -> Access:
    pem, ca = kafka.folder / f"{name}.pem", kafka.folder / "ca.pem"
    return access_of(
        load(ServiceSettings, kafka_protocol="SSL", kafka_ca_file=ca, kafka_certificate_file=pem, kafka_key_file=pem)
    )


async def seed(kafka: Guarded) -> None:
    log = KafkaLog(kafka.admin, "admin", access=by_certificate(kafka, "admin"))
    await log.start()
    await asyncio.gather(*(log.append(topic, "key", b"seed") for topic in Topic))
    await log.close()


async def may_write(log: KafkaLog, topic: Topic, refusal: str) -> bool:
    """Whether it is taken; a refusal is told as what was surely not written, and why."""
    (trouble,) = await asyncio.gather(log.append(topic, "key", b"value"), return_exceptions=True)
    assert trouble is None or (isinstance(trouble, Unavailable) and refusal in str(trouble)), trouble
    return trouble is None


async def may_read(log: KafkaLog, topic: Topic) -> bool:
    """Whether a record comes; a refusal is told as one."""
    follower = log.follow(topic)
    assert isinstance(follower, KafkaFollower)
    await follower.start()

    async def first() -> None:
        async for _ in follower:
            return

    reading = asyncio.ensure_future(first())
    try:
        async with asyncio.timeout(WITHIN_S):
            while not reading.done():
                if NO_ACL_TO_READ in (follower.health() or ""):
                    return False
                await asyncio.sleep(0.02)
        return True
    finally:
        await follower.stop()
        await asyncio.wait({reading})


async def rights(log: KafkaLog, refusal: str = NO_ACL) -> acls.Rights:
    """Everything that it may do, tried."""
    await log.start()
    try:
        written = await asyncio.gather(*(may_write(log, topic, refusal) for topic in Topic))
        read = await asyncio.gather(*(may_read(log, topic) for topic in Topic))
    finally:
        await log.close()
    found = {("Write", str(topic)) for topic, may in zip(Topic, written, strict=True) if may}
    return found | {("Read", str(topic)) for topic, may in zip(Topic, read, strict=True) if may}


@pytest.mark.parametrize("name", acls.NAMES)
async def test_each_name_may_do_what_the_paper_gives_it_and_nothing_else(kafka: Guarded, name: str) -> None:
    """A row too few, and a topic stands still; one too many, and `policy` is anybody's."""
    wanted = {
        (operation, str(topic)) for operation, given in acls.given(name) for topic in Topic if given in ("*", topic)
    }
    assert await rights(KafkaLog(kafka.clients, name, access=by_password(kafka, name))) == wanted
    assert (("Write", "policy") in wanted) == (name == "firewall")


async def test_a_certificate_of_the_same_name_may_do_the_same(kafka: Guarded) -> None:
    """`ssl.principal.mapping.rules` makes User:firewall of CN=firewall."""
    log = KafkaLog(kafka.admin, "firewall", access=by_certificate(kafka, "firewall"))
    assert await rights(log) == acls.given("firewall")


async def why_not(bootstrap: str, access: Access) -> str:
    """What a service would say at /readyz."""
    log = KafkaLog(bootstrap, "stranger", access=access)
    await log.start()
    try:
        async with asyncio.timeout(WITHIN_S):
            while (why := log.health()) is None or why.startswith("not connected yet"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        with pytest.raises(Unavailable):
            await log.append(Topic.POLICY, "key", b"value")
    finally:
        await log.close()
    return why


async def test_who_is_not_let_in_hears_why(kafka: Guarded) -> None:
    """Each way to be wrong is one line that says what the broker said, and never that nobody is there."""
    ca = kafka.folder / "ca.pem"
    encrypted = access_of(load(ServiceSettings, kafka_protocol="SSL", kafka_ca_file=ca))
    distrusting = access_of(load(ServiceSettings, kafka_protocol="SSL"))
    by_name, certified = by_password(kafka, "firewall"), by_certificate(kafka, "firewall")
    for bootstrap, access, said in (
        (kafka.nameless, PLAIN_TEXT, "no ACL of Kafka's at"),
        (kafka.clients, by_password(kafka, "firewall", password_of="router"), "invalid credentials"),
        (kafka.clients, by_password(kafka, "stranger", password_of="router"), "invalid credentials"),
        (kafka.admin, distrusting, "certificate verify failed"),
        (kafka.admin, encrypted, "it ends the connection; does that listener speak so?"),
        (kafka.clients, PLAIN_TEXT, "it ends the connection"),
        (kafka.nameless, certified, "it ends the connection"),
        (kafka.admin, by_name, "it ends the connection"),
        (kafka.clients, certified, "it ends the connection"),
    ):
        why = await why_not(bootstrap, access)
        assert said in why
        assert str(access) in why
        assert "\n" not in why


async def test_who_has_no_name_reads_and_writes_nothing(kafka: Guarded) -> None:
    """`allow.everyone.if.no.acl.found=false`, and nothing is given to User:ANONYMOUS."""
    assert await rights(KafkaLog(kafka.nameless, "nameless"), "no ACL of Kafka's at") == set()


def told(kafka: Guarded, name: str) -> dict[str, str]:
    return acls.settings(name, kafka.folder, kafka.clients)


def throughline(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *words],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


async def page(child: Child, path: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://{child.metrics_address}{path}") as response:
        return await response.text()


async def shows(child: Child, path: str, line: str) -> None:
    async with asyncio.timeout(WITHIN_S):
        while line not in await page(child, path):  # noqa: ASYNC110 - only its page says it
            await asyncio.sleep(0.05)


async def test_every_service_lives_under_its_own_name_and_an_operator_works_under_theirs(
    kafka: Guarded, tmp_path: Path
) -> None:
    """The settings, as the paper has them: nobody has anything to say against Kafka, and what is typed takes effect."""
    counts = dict.fromkeys(COUNTS, 1)
    settings = {variable: value for name in acls.SERVICES for variable, value in told(kafka, name).items()}
    operator = told(kafka, "operator")
    router = {variable: value.replace("operator", "router") for variable, value in operator.items()}
    lifeline = Lifeline()
    try:
        async with Installation(
            tmp_path, lifeline, kafka=kafka.clients, region_dir=REGION, counts=counts, settings=settings
        ) as installation:
            children = list(installation.children.values())
            refused = await asyncio.to_thread(throughline, router, "routing", "publish", str(REGION))
            assert (refused.returncode, NO_ACL in refused.stderr) == (1, True), refused
            published = await asyncio.to_thread(throughline, operator, "routing", "publish", str(REGION))
            assert published.stdout.startswith("published version 1"), published
            assert installation.operator_keys is not None
            bypass = ("policy", "bypass", "on", "--why", "drill", "--key", str(installation.operator_keys / "ann.key"))
            (firewall,) = installation.addresses("firewall")
            bypassed = await asyncio.to_thread(throughline, operator, *bypass, "--firewall", firewall)
            assert "BYPASS: every call passes; everywhere" in bypassed.stdout, bypassed
            for child in children:
                if child.service != "ledger":  # it has no region
                    await shows(child, "/metrics", "throughline_region_version 1.0")
                said = await page(child, "/readyz")
                assert "journal" not in said and "Kafka" not in said, f"{child.name}: {said}"
            unread = await asyncio.to_thread(throughline, router, "balance")
            assert (unread.returncode, NO_ACL_TO_READ in unread.stderr) == (69, True), unread
            assert "--kafka" not in unread.stderr
            balanced = await asyncio.to_thread(throughline, operator, "balance")
            assert balanced.returncode == 0, balanced
    finally:
        lifeline.close()


async def test_a_right_given_later_or_taken_meanwhile_needs_no_restart(kafka: Guarded) -> None:
    """What is refused is surely not written, and costs the producer nothing; the others' topics go on."""
    function = acls.block("sh", "acl()").splitlines()[0]
    rest = "--allow-principal User:router --operation Write --topic deliveries"
    log = KafkaLog(kafka.clients, "router", access=by_password(kafka, "router"))
    await log.start()
    try:
        assert not await may_write(log, Topic.DELIVERIES, NO_ACL)
        assert NO_ACL in (log.health() or "")
        assert await may_write(log, Topic.ROUTINGS, NO_ACL)
        for given, words in ((True, "acl"), (False, "acl --remove --force"), (True, "acl")):
            script = f"{function.replace('--add ', '' if not given else '--add ')}\n{words} {rest}"
            await asyncio.to_thread(kafka.type, script)
            async with asyncio.timeout(WITHIN_S):
                while await wrote(log, Topic.DELIVERIES) is not given:  # noqa: ASYNC110 - only a try says it
                    await asyncio.sleep(0.05)
            assert (log.health() is None) is given
    finally:
        await log.close()


async def wrote(log: KafkaLog, topic: Topic) -> bool:
    (trouble,) = await asyncio.gather(log.append(topic, "key", b"value"), return_exceptions=True)
    return trouble is None


async def test_a_broker_that_hangs_holds_up_no_end(kafka: Guarded) -> None:
    """TLS waits half a minute for a farewell of the other side; a service has five seconds to close everything."""
    log = KafkaLog(kafka.clients, "firewall", access=by_password(kafka, "firewall"))
    await log.start()
    assert await wrote(log, Topic.SCREENINGS)
    follower = log.follow(Topic.SCREENINGS)
    await follower.start()
    kafka.cluster.pause(1)
    try:
        async with asyncio.timeout(CLOSE_S / 2):
            await follower.stop()
            await log.close()
    finally:
        kafka.cluster.go_on(1)
