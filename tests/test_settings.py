"""The configuration: a file, over it the environment, and errors that say where and what."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from connectors.payloads import SparkplugConfig
from streams.messages import RawMessage
from streams.programs import compose
from streams.settings import ConfigError, Section, Settings, is_loopback, load

TOKEN = "sixteen-and-more-characters"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests."""
    for name in os.environ:
        if name.startswith("FORESTALL_"):
            monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def file(text: str) -> Path:
        path = tmp_path / "forestall.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return file


def models(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    yield prefix, model
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from models(info.annotation, f"{prefix}{name}.")


def test_nothing_at_all_runs_on_one_machine() -> None:
    settings = load()
    assert settings.embedded
    assert settings.broker_url.startswith("sqlite:////")
    assert "durability=full&retention_age=30d&retention_size=20GB" in settings.broker_url
    assert settings.store_url.endswith("/forestall-data/tickets.db")
    assert not settings.mqtt.url
    assert (settings.web.host, settings.metrics.host) == ("127.0.0.1", "127.0.0.1")
    assert not settings.influx.url
    assert not settings.desks.webhook.url


def test_a_file_is_read(write: Callable[[str], Path]) -> None:
    settings = load(
        write('broker = "kafka://one:9092,two:9092"\npartitions = 8\n[mqtt]\nurl = "mqtts://broker:8883"\n'
              '[detectors.high_low]\nhigh = 2.5\n[desks.email]\nhost = "mail"\nrecipients = ["duty@example.org"]\n')
    )  # fmt: skip
    assert not settings.embedded
    assert settings.broker_url == "kafka://one:9092,two:9092"
    assert settings.partitions == 8
    assert settings.mqtt.url == "mqtts://broker:8883"
    assert settings.detectors == {"high_low": {"high": 2.5}}
    assert settings.desks.email.recipients == ("duty@example.org",)
    assert settings.mqtt.receive_maximum == 4000


def test_the_environment_wins_key_by_key(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORESTALL_MQTT__URL", "mqtt://other:1883")
    monkeypatch.setenv("FORESTALL_PARTITIONS", "2")
    monkeypatch.setenv("FORESTALL_DESKS__WEBHOOK__URL", "https://desk.example.org/hook")
    monkeypatch.setenv("FORESTALL_DESKS__WEBHOOK__SECRETS", '["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]')
    monkeypatch.setenv("FORESTALL_DETECTORS__SPIKE__EXCESS", "3")
    settings = load(write('partitions = 8\n[mqtt]\nurl = "mqtt://file:1883"\nusername = "reader"\n'))
    assert settings.mqtt.url == "mqtt://other:1883"
    assert settings.mqtt.username == "reader"
    assert settings.partitions == 2
    assert settings.desks.webhook.url == "https://desk.example.org/hook"
    assert [s.get_secret_value()[:6] for s in settings.desks.webhook.secrets] == ["whsec_"]
    assert settings.detectors == {"spike": {"excess": 3.0}}


def test_what_only_begins_like_ours_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESTALL_ROUNDS", "20")
    assert load() == load()


# --- errors -----------------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a configuration file at .*nowhere\.toml, there is none"):
        load(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("text", ["partitions = ", "[mqtt\nurl = 1", "a = 1\na = 2\n\n"])
def test_what_is_no_toml_is_said_with_its_place(write: Callable[[str], Path], text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected TOML in .*forestall\.toml, got: .*\(at "):
        load(write(text))


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="expected TOML in"):
        load(path)
    with pytest.raises(ConfigError, match="expected TOML in"):
        load(tmp_path)


def test_every_table_refuses_a_key_that_it_does_not_know() -> None:
    found = list(models())
    assert len(found) > 12
    for prefix, model in found:
        assert model.model_config.get("extra") == "forbid", prefix
        assert model.model_config.get("frozen"), prefix
        assert issubclass(model, Section) or model is Settings


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("partitons = 4", "partitons"),
        ('[mqtt]\nurll = "mqtt://b:1"', "mqtt.urll"),
        ('[desks.webhook]\nsecret = "x"', "desks.webhook.secret"),
        ("[weather]\non = true", "weather"),
    ],
)
def test_an_unknown_key_is_named(write: Callable[[str], Path], text: str, key: str) -> None:
    with pytest.raises(ConfigError) as told:
        load(write(text))
    assert f"  {key}: unknown key; `forestall check-config --keys` lists those that there are" in str(
        told.value
    )


def test_an_unknown_key_of_a_table_is_named_in_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESTALL_MQTT__URLL", "mqtt://b:1")
    with pytest.raises(ConfigError, match=r"(?s)the environment cannot be used:.*mqtt\.urll: unknown key"):
        load()


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        ('broker = "amqp://b:1"', "broker", "kafka:// or sqlite://, got 'amqp://b:1'"),
        ('broker = "localhost:9092"', "broker", "expected a URL that starts with kafka://"),
        ('store = "mysql://b/d"', "store", "sqlite:// or postgresql://"),
        ('[mqtt]\nurl = "tcp://b:1883"', "mqtt.url", "mqtt:// or mqtts://"),
        ('[influx]\nurl = "influx:8086"', "influx.url", "http:// or https://"),
        (
            '[desks.webhook]\nurl = "ftp://x"\nsecrets = ["whsec_x"]',
            "desks.webhook.url",
            "http:// or https://",
        ),
        ('[desks.webhook]\nurl = "https://x"', "desks.webhook", "expected at least one of secrets"),
        ('[desks.email]\nhost = "mail"', "desks.email", "expected recipients beside host"),
        ("partitions = 0", "partitions", "greater than or equal to 1"),
        ('app = "For Estall"', "app", "pattern"),
        ('partitions = "many"', "partitions", "integer"),
        ("[mqtt]\nreceive_maximum = 70000", "mqtt.receive_maximum", "less than or equal to 65535"),
        ('[mqtt]\nshared_group = "g"', "mqtt", "expected url beside shared_group: the broker of our own"),
        ('[log]\ndurability = "some"', "log.durability", "'full' or 'normal'"),
        ("[detectors]\nspike = 3", "detectors.spike", "dictionary"),
        (
            '[mqtt]\nurl = "mqtt://b:1"\nshared_group = "g"\n[ingest]\nsparkplug = true',
            "the whole",
            "expected no mqtt.shared_group",
        ),
    ],
)
def test_a_bad_value_is_told_with_its_key(
    write: Callable[[str], Path], text: str, key: str, what: str
) -> None:
    with pytest.raises(ConfigError) as told:
        load(write(text))
    line = next(line for line in str(told.value).splitlines() if line.startswith(f"  {key}: "))
    assert what in line
    assert str(told.value).startswith(str(write(text)))


def test_all_faults_are_told_at_once(write: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError) as told:
        load(write('broker = "x"\npartitions = 0\n[mqtt]\nurl = "y"\nnope = 1\n'))
    keys = [line.split(":")[0].strip() for line in str(told.value).splitlines()[1:]]
    assert sorted(keys) == ["broker", "mqtt.nope", "mqtt.url", "partitions"]


def test_a_file_that_the_configuration_names_must_be_there(
    write: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "there.csv").write_text("meter_id\n")
    there, gone = tmp_path / "there.csv", tmp_path / "gone.toml"
    text = f'[ingest]\nregistry = "{there}"\nmappings = ["{there}", "{gone}"]\n[mqtt]\nca = "{gone}"\n'
    with pytest.raises(ConfigError) as told:
        load(write(text))
    lines = str(told.value).splitlines()[1:]
    assert lines == [
        f"  mqtt.ca: expected a file at {gone}, there is none",
        f"  ingest.mappings.1: expected a file at {gone}, there is none",
    ]
    assert load(write(f'[ingest]\nregistry = "{there}"\n')).ingest.registry == there


# --- who may ask --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True), ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True),
        ("0.0.0.0", False), ("::", False), ("192.168.1.4", False), ("meters.example.org", False), ("", False),
        ("localhost.example.org", False),
    ],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


@pytest.mark.parametrize("section", ["web", "metrics"])
def test_who_listens_to_others_needs_a_token(write: Callable[[str], Path], section: str) -> None:
    load(write(f'[{section}]\nhost = "127.0.0.1"\n'))
    for token in ("", "short-secret"):
        with pytest.raises(ConfigError) as told:
            load(write(f'[{section}]\nhost = "0.0.0.0"\ntoken = "{token}"\n'))
        assert f"  {section}: expected token of at least 16 characters where host is 0.0.0.0" in str(
            told.value
        )
        assert not token or token not in str(told.value)
    settings = load(write(f'[{section}]\nhost = "0.0.0.0"\ntoken = "{TOKEN}"\n'))
    assert getattr(settings, section).token.get_secret_value() == TOKEN


def test_no_secret_is_shown(write: Callable[[str], Path]) -> None:
    text = f'[web]\ntoken = "{TOKEN}"\n[mqtt]\npassword = "{TOKEN}"\n[influx]\ntoken = "{TOKEN}"\n'
    settings = load(write(text))
    assert TOKEN not in repr(settings)
    assert TOKEN not in str(settings.model_dump())
    assert isinstance(settings.kafka.password, SecretStr)


def test_a_word_that_means_a_secret_is_one() -> None:
    words = ("password", "token", "secret")
    for prefix, model in models():
        for name, info in model.model_fields.items():
            if any(word in name for word in words):
                assert "SecretStr" in str(info.annotation), prefix + name


# --- payloads -----------------------------------------------------------------------------------------


def test_topics_can_be_ignored(write: Callable[[str], Path]) -> None:
    settings = load(write('[ingest]\nignore = ["forestall/readings/test/#"]\n'))
    router = compose.router(settings)

    def read(topic: str) -> tuple[str, int]:
        dialect, out = router.decode(RawMessage(topic=topic, payload=b"noise", received_ns=0))
        return dialect, len(out.rejects)

    assert read("forestall/readings/test/a") == ("ignored", 0)
    assert read("forestall/readings/site") == ("native", 1)
    with pytest.raises(ConfigError, match=r"ingest: expected # alone"):
        compose.router(load(write('[ingest]\nignore = ["a/#/b"]\n')))


def test_every_option_of_sparkplug_is_a_setting(write: Callable[[str], Path]) -> None:
    chosen = SparkplugConfig(
        groups=("one", "two"),
        meter_id="{device}",
        register="{metric}",
        kind="gauge",
        ignore=("*/Firmware",),
        unit_property="unit",
        rebirth=False,
        rebirth_interval_s=30.0,
        max_nodes=7,
    )
    settings = load(
        write(
            "[ingest]\nsparkplug = true\n"
            '[sparkplug]\ngroups = ["one", "two"]\nmeter_id = "{device}"\nregister_name = "{metric}"\n'
            'kind = "gauge"\nignore = ["*/Firmware"]\nunit_property = "unit"\nrebirth = false\n'
            "rebirth_interval_s = 30\nmax_nodes = 7\n"
        )
    )
    assert compose.sparkplug_config(settings) == chosen
    plain = SparkplugConfig()
    unlike = [f.name for f in fields(chosen) if getattr(chosen, f.name) == getattr(plain, f.name)]
    assert unlike == ["max_bytes"], "every other option is set here to what it is not by default"
    router = compose.router(settings)
    assert {t for t in router.topics if "/NDATA/" in t} == {"spBv1.0/one/NDATA/+", "spBv1.0/two/NDATA/+"}
    assert compose.sparkplug_config(load(write("[ingest]\nsparkplug = true\n"))) == plain


def test_options_of_sparkplug_without_sparkplug_are_refused(write: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match=r"expected ingest\.sparkplug = true beside the table sparkplug"):
        load(write('[sparkplug]\ngroups = ["one"]\n'))
    with pytest.raises(ConfigError, match="expected a template of"):
        compose.router(load(write('[ingest]\nsparkplug = true\n[sparkplug]\nmeter_id = "{plant}"\n')))
