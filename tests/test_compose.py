"""docker-compose.yml, .env.example and deploy/ against our own settings, without Docker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import pytest
import yaml
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import BaseModel

from streams.settings import Settings, load
from tests.conftest import require
from tests.services.mosquitto import Mosquitto
from tests.services.process import LOOPBACK, wait_until

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("ingest", "worker", "web")
THEIRS = ("grafana", "influxdb", "kafka", "mosquitto", "postgres")

VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)([^}]*)\}|(?<!\$)\$(\w+)")


def texts(node: object) -> Iterator[str]:
    """Every string in a tree of YAML."""
    if isinstance(node, Mapping):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node


def variables() -> dict[str, set[str]]:
    """Variables that Compose puts in → how (``:?…``: an error where it is not set)."""
    found: dict[str, set[str]] = {}
    for text in texts(COMPOSE):
        for name, how, bare in VARIABLE.findall(text):
            found.setdefault(name or bare, set()).add(how)
    return found


def environment(service: str) -> dict[str, str]:
    """What Compose hands a service, with a value of its own for every variable."""
    given: dict[str, str] = SERVICES[service].get("environment", {})
    return {
        key: VARIABLE.sub(lambda m: f"{m[1] or m[3]}-of-at-least-16", text) for key, text in given.items()
    }


@pytest.fixture
def configured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings as our service of the parameter's name sees them in Compose."""
    for name in [n for n in os.environ if n.upper().startswith("FORESTALL_")]:
        monkeypatch.delenv(name)
    for name, value in environment(request.param).items():
        monkeypatch.setenv(name, value)
    return load(ROOT / "deploy/forestall/forestall.toml")


# --- the file ----------------------------------------------------------------------------------


def test_all_services_are_there() -> None:
    assert sorted(SERVICES) == sorted((*OURS, *THEIRS))


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_says_whether_it_is_well(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries"} <= set(check)


@pytest.mark.parametrize("name", THEIRS)
def test_images_are_pinned(name: str) -> None:
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+[\w.-]*", SERVICES[name]["image"])


def test_our_image_is_pinned() -> None:
    tags = re.findall(r"^ARG PYTHON=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(tags) == 1
    assert re.match(r"3\.\d+", tags[0])


def test_every_volume_is_declared_and_used() -> None:
    named = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                named.add(source)
    assert named == set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", SERVICES)
def test_its_data_is_on_a_volume(name: str) -> None:
    assert any(not v.startswith(".") for v in SERVICES[name]["volumes"])


def test_ports_are_open_on_this_host_only() -> None:
    for name, service in SERVICES.items():
        assert all(p.startswith("127.0.0.1:") for p in service.get("ports", [])), name


def test_every_dependency_is_waited_for() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, name
            assert how == {"condition": "service_healthy"}, name


# --- secrets -----------------------------------------------------------------------------------


def test_every_variable_is_asked_for_and_none_has_a_default() -> None:
    for name, hows in variables().items():
        assert hows == {f":?set {name} in .env"}, name


def test_no_secret_is_written_down() -> None:
    secret = re.compile(r"PASSWORD$|TOKEN$|SECRETS?$|_KEY$")
    for name, service in SERVICES.items():
        for key, text in service.get("environment", {}).items():
            if secret.search(key):
                assert VARIABLE.fullmatch(text), f"{name}: {key}"


def test_the_example_names_every_variable_and_gives_no_value() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(given) == set(variables())
    assert set(given.values()) == {""}


# --- our three processes -------------------------------------------------------------------------


def setting(name: str) -> bool:
    """Whether FORESTALL_A__B is a key that Settings has."""
    model: Any = Settings
    *path, last = name.removeprefix("FORESTALL_").lower().split("__")
    for part in path:
        field = model.model_fields.get(part)
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ):
            return False
        model = field.annotation
    return last in model.model_fields


def test_every_variable_of_ours_is_a_setting() -> None:
    names = {n for s in SERVICES.values() for n in s.get("environment", {}) if n.startswith("FORESTALL")}
    names |= set(re.findall(r"FORESTALL_\w+(?==)", (ROOT / "deploy/forestall/desks.env.example").read_text()))
    assert names
    assert [n for n in sorted(names) if not setting(n)] == []


@pytest.mark.parametrize("configured", OURS, indirect=True)
def test_the_settings_point_at_services_of_the_file(configured: Settings) -> None:
    urls = [configured.broker_url, configured.store_url, configured.influx.url]
    if configured.mqtt.url:
        urls.append(configured.mqtt.url)
    for url in urls:
        assert urlsplit(url).hostname in SERVICES, url
    assert not configured.embedded


@pytest.mark.parametrize("configured", OURS, indirect=True)
def test_kafka_does_as_we_expect(configured: Settings) -> None:
    kafka = environment("kafka")
    assert configured.broker_url.endswith(urlsplit(kafka["KAFKA_ADVERTISED_LISTENERS"]).netloc)
    brokers = kafka["KAFKA_CONTROLLER_QUORUM_VOTERS"].count("@")
    assert configured.kafka.replication <= brokers
    assert configured.kafka.replication >= int(kafka["KAFKA_MIN_INSYNC_REPLICAS"])
    for internal in ("DEFAULT_REPLICATION_FACTOR", "OFFSETS_TOPIC_REPLICATION_FACTOR"):
        assert int(kafka[f"KAFKA_{internal}"]) == configured.kafka.replication
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    # a checkpoint's record, and the largest payload as a dead letter
    assert int(kafka["KAFKA_MESSAGE_MAX_BYTES"]) >= 16 << 20
    assert int(kafka["KAFKA_REPLICA_FETCH_MAX_BYTES"]) >= int(kafka["KAFKA_MESSAGE_MAX_BYTES"])


@pytest.mark.parametrize("configured", ["ingest"], indirect=True)
def test_mosquitto_does_as_we_expect(configured: Settings) -> None:
    conf = dict(
        line.split(" ", 1)
        for line in (ROOT / "deploy/mosquitto/mosquitto.conf").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert urlsplit(configured.mqtt.url).port == int(conf["listener"])
    assert conf["allow_anonymous"] == "false"
    assert conf["persistence"] == "true"
    assert conf["max_queued_messages"] == "0"
    assert int(conf["max_inflight_messages"]) >= configured.mqtt.receive_maximum
    broker = environment("mosquitto")
    assert configured.mqtt.username == broker["MQTT_USERNAME"]
    assert configured.mqtt.password.get_secret_value() == broker["MQTT_PASSWORD"]
    # the session is kept under the client id, which is made of the host name
    assert configured.mqtt.client_id or SERVICES["ingest"]["hostname"]


@pytest.mark.parametrize("configured", ["worker"], indirect=True)
def test_databases_are_asked_with_their_own_accounts(configured: Settings) -> None:
    postgres = environment("postgres")
    store = urlsplit(configured.store_url)
    assert (store.username, store.password) == (postgres["POSTGRES_USER"], postgres["POSTGRES_PASSWORD"])
    assert store.path == "/" + postgres["POSTGRES_DB"]
    influx = environment("influxdb")
    assert configured.influx.org == influx["DOCKER_INFLUXDB_INIT_ORG"]
    assert configured.influx.bucket == influx["DOCKER_INFLUXDB_INIT_BUCKET"]
    assert configured.influx.token.get_secret_value() == influx["DOCKER_INFLUXDB_INIT_ADMIN_TOKEN"]
    grafana = environment("grafana")
    source = (ROOT / "deploy/grafana/provisioning/datasources/influxdb.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", source)) <= set(grafana)
    assert grafana["INFLUX_BUCKET"] == configured.influx.bucket


@pytest.mark.parametrize("configured", OURS, indirect=True)
def test_health_is_asked_for_where_it_is_told(configured: Settings, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["configured"]
    url = urlsplit(SERVICES[name]["healthcheck"]["test"][-1])
    ports = {
        "ingest": configured.metrics.ingest_port,
        "worker": configured.metrics.worker_port,
        "web": configured.web.port,
    }
    assert (url.hostname, url.port, url.path) == (LOOPBACK, ports[name], "/health")


def test_the_stop_is_given_the_time_that_it_may_take() -> None:
    for name in OURS:
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > 10, name


# --- Mosquitto with its shipped configuration ----------------------------------------------------


class Shipped(Mosquitto):
    """A broker started as the Compose file starts it, its paths and port changed."""

    name = "mosquitto"

    def prepare(self) -> None:
        shutil.copytree(ROOT / "deploy/mosquitto", self.dir / "config")
        (self.dir / "data").mkdir()
        for path in (self.dir / "config/mosquitto.conf", self.dir / "config/start.sh"):
            text = path.read_text().replace("/mosquitto/", f"{self.dir}/")
            path.write_text(text.replace("listener 1883", f"listener {self.port} {LOOPBACK}"))
        # a temporary directory is closed to the account that Mosquitto changes to
        (self.dir / "config/conf.d/test.conf").write_text("user root\n")

    def command(self) -> Sequence[str]:
        return ("sh", str(self.dir / "config/start.sh"))

    def environment(self) -> Mapping[str, str]:
        return {"MQTT_USERNAME": "meter", "MQTT_PASSWORD": "right", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def answer(port: int, password: str | None) -> str:
    """What the broker says to a client: "Success", or why not."""
    said: list[str] = []
    heard = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    if password is not None:
        client.username_pw_set("meter", password)

    def on_connect(*parts: Any) -> None:
        said.append(str(parts[3]))
        heard.set()

    client.on_connect = on_connect
    client.connect(LOOPBACK, port)
    client.loop_start()
    try:
        wait_until(heard.is_set, "an answer to CONNECT", 10)
    finally:
        client.disconnect()
        client.loop_stop()
    return said[0]


def test_the_shipped_broker_takes_only_who_has_the_password() -> None:
    require(Mosquitto)
    if shutil.which("mosquitto_passwd", path="/usr/bin:/usr/sbin") is None:
        pytest.skip("mosquitto_passwd is not installed; `make services` installs Mosquitto")
    with Shipped() as broker:
        assert answer(broker.port, "right") == "Success"
        assert answer(broker.port, "wrong") == "Not authorized"
        assert answer(broker.port, None) == "Not authorized"
        passwords = broker.dir / "data/passwords"
        assert "right" not in passwords.read_text()
        assert passwords.stat().st_mode & 0o077 == 0


def test_scripts_and_dashboards_parse() -> None:
    subprocess.run(["sh", "-n", str(ROOT / "deploy/mosquitto/start.sh")], check=True)
    for path in sorted((ROOT / "deploy/grafana").rglob("*.yaml")):
        assert yaml.safe_load(path.read_text()), path
