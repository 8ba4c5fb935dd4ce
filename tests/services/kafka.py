"""Apache Kafka: one node in KRaft mode, from the jars that ``scripts/services/kafka.sh`` fetches."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.services.process import LOOPBACK, Service, free_port

REPOSITORY = Path(__file__).resolve().parents[2]

# The client-side JIT compiler and the serial collector: half the start, a fifth of the memory.
JAVA = ("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")

LOGGING = """\
Configuration:
  status: error
  Appenders:
    Console: {name: out, target: SYSTEM_OUT, PatternLayout: {pattern: "%d{ISO8601} %-5p %c{1} %m%n"}}
  Loggers:
    Root: {level: warn, AppenderRef: {ref: out}}
"""

# The same for Kafka 3, whose logger is an older one.
LOGGING_3 = """\
log4j.rootLogger=WARN,out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %-5p %c{1} %m%n
"""


def installed() -> dict[str, Path]:
    """The versions whose jars are here: version → the directory of the jars."""
    home = Path(os.environ.get("FORESTALL_SERVICES", REPOSITORY / ".services")) / "kafka"
    return {mark.parent.name: mark.parent / "libs" for mark in home.glob("*/complete")}


def version() -> str | None:
    """The version to run: KAFKA_VERSION, else the newest that is here; None where there is none."""
    found = installed()
    wanted = os.environ.get("KAFKA_VERSION")
    if wanted:
        return wanted if wanted in found else None
    return max(found, key=lambda v: tuple(int(part) for part in v.split(".")), default=None)


class Kafka(Service):
    """A broker and controller in one process, ≤ 512 MB of heap; topics must be created.

    settings : more lines of ``server.properties``, over those below
    """

    name = "kafka"
    start_s = 60.0

    def __init__(self, settings: Sequence[str] = ()) -> None:
        super().__init__()
        self.settings = tuple(settings)
        self._controller = free_port()

    @staticmethod
    def missing() -> str | None:
        if shutil.which("java") is None:
            return "Apache Kafka needs Java 17, which is not installed; `make services` says how to get it"
        if version() is None:
            return "Apache Kafka's jars are not here; `make services` fetches them"
        return None

    @property
    def url(self) -> str:
        return f"kafka://{LOOPBACK}:{self.port}"

    @property
    def bootstrap(self) -> str:
        """``host:port``, as Kafka's own clients take it."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def config(self) -> str:
        """The text of its ``server.properties``."""
        lines = [
            "process.roles=broker,controller",
            "node.id=1",
            f"controller.quorum.voters=1@{LOOPBACK}:{self._controller}",
            f"listeners=PLAINTEXT://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{self._controller}",
            f"advertised.listeners=PLAINTEXT://{LOOPBACK}:{self.port}",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names=CONTROLLER",
            "inter.broker.listener.name=PLAINTEXT",
            f"log.dirs={self.dir / 'data'}",
            "num.network.threads=2",
            "num.io.threads=4",
            # one node: nothing can be replicated
            "offsets.topic.replication.factor=1",
            "offsets.topic.num.partitions=4",
            "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1",
            "transaction.state.log.num.partitions=2",
            "auto.create.topics.enable=false",
            "message.max.bytes=16777216",
            "replica.fetch.max.bytes=16777216",
            # groups form at once, and a dead member is missed after one second if it asks for that
            "group.initial.rebalance.delay.ms=0",
            "group.min.session.timeout.ms=1000",
            # a killed broker may come back under its id as soon as its old session has ended
            "broker.session.timeout.ms=1500",
            "broker.heartbeat.interval.ms=300",
            "controlled.shutdown.enable=false",
            # compaction soon, with little memory
            "log.cleaner.dedupe.buffer.size=33554432",
            "log.cleaner.backoff.ms=1000",
            *self.settings,
        ]
        return "\n".join(lines) + "\n"

    def prepare(self) -> None:
        (self.dir / "server.properties").write_text(self.config)
        (self.dir / "log4j2.yaml").write_text(LOGGING)
        (self.dir / "log4j.properties").write_text(LOGGING_3)
        tool = ("kafka.tools.StorageTool", "format", "-t", "Zm9yZXN0YWxsLXRlc3RzMQ")
        done = subprocess.run(
            [*self._java(128), *tool, "-c", str(self.dir / "server.properties")],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(
                f"expected Kafka's StorageTool to format {self.dir}, got\n{done.stdout}{done.stderr}"
            )

    def command(self) -> Sequence[str]:
        return [*self._java(512), "kafka.Kafka", str(self.dir / "server.properties")]

    def _java(self, heap_mb: int) -> list[str]:
        found = version()
        if found is None:
            raise RuntimeError(self.missing())
        return [
            *JAVA,
            f"-Xmx{heap_mb}m",
            f"-Dlog4j2.configurationFile={self.dir / 'log4j2.yaml'}",
            f"-Dlog4j.configuration=file:{self.dir / 'log4j.properties'}",
            "-cp",
            f"{installed()[found]}/*",
        ]
