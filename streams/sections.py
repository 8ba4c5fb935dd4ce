"""The tables of the configuration: their keys, defaults and what each refuses by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from streams.section import Section, is_loopback, url_of
from streams.trade.roles import LOCAL, RESERVED, Role
from streams.trade.states import Category
from streams.trade.subjects import SUBJECTS

_SHORTEST = 16  # characters of a token


class MqttSettings(Section):
    """Where readings come from."""

    url: str = Field(
        "", description="mqtt://host:port or mqtts://host:port; empty: a broker of our own on loopback"
    )
    embedded_port: int = Field(1883, ge=0, le=65535, description="port of our own broker; 0 picks a free one")
    client_id: str = Field("", description="one per instance; empty: forestall-ingest-<host name>")
    username: str = ""
    password: SecretStr = SecretStr("")
    ca: Path | None = Field(None, description="file with the certificates to trust")
    cert: Path | None = Field(None, description="client certificate")
    key: Path | None = Field(None, description="its key")
    key_password: SecretStr = SecretStr("")
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    receive_maximum: int = Field(4000, ge=1, le=65535, description="messages in flight, unacknowledged")
    shared_group: str = Field(
        "", description="name of a shared subscription, for several ingests on one broker"
    )
    max_payload_mb: float = Field(32.0, gt=0)

    @field_validator("url")
    @classmethod
    def _check(cls, value: str) -> str:
        return url_of(value, ("mqtt", "mqtts")) if value else value

    @model_validator(mode="after")
    def _shared(self) -> MqttSettings:
        if self.shared_group and not self.url:
            raise ValueError(
                "expected url beside shared_group: the broker of our own has no shared subscriptions; "
                "name the broker, or leave shared_group out"
            )
        return self


class IngestSettings(Section):
    """How payloads become readings."""

    registry: Path | None = Field(None, description="METERS.csv; read again when it changes")
    native_topics: tuple[str, ...] = Field(("forestall/readings/#",), description="topics with our own JSON")
    sparkplug: bool = Field(False, description="take Sparkplug B (spBv1.0/#); how: the table sparkplug")
    mappings: tuple[Path, ...] = Field((), description="mapping files for other payloads")
    ignore: tuple[str, ...] = Field(
        (), description="topic filters of messages that come to nothing, and make no dead letter"
    )
    linger_ms: float = Field(20.0, ge=0, le=10_000, description="longest wait to fill a batch")
    max_messages: int = Field(1000, ge=1, description="MQTT messages in a batch")
    tick_s: float = Field(60.0, ge=0, description="clock ticks for quiet times; 0: none")


class SparkplugSettings(Section):
    """How Sparkplug B is read, where ``ingest.sparkplug`` is on."""

    groups: tuple[str, ...] = Field((), description="groups to subscribe to; none: all")
    meter_id: str = Field(
        "", description="template of {group} {node} {device} {metric}; empty: group/node/device/metric"
    )
    register_name: str = Field("", description="template of the register's name; empty: none")
    kind: Literal["", "register", "interval", "gauge"] = Field("", description="empty: the registry's")
    ignore: tuple[str, ...] = Field((), description="patterns of metrics that are no readings, as */Firmware")
    unit_property: str = Field("engUnit", min_length=1, description="property of a birth that names the unit")
    rebirth: bool = Field(True, description="ask a node whose births are missing for them (NCMD)")
    rebirth_interval_s: float = Field(10.0, ge=1, description="shortest time between two such requests")
    max_nodes: int = Field(10_000, ge=1, description="edge nodes whose births are remembered")


class LogSettings(Section):
    """The embedded log; ignored on Kafka."""

    durability: Literal["full", "normal"] = "full"
    retention_days: float = Field(30.0, gt=0)
    retention_gb: float = Field(20.0, gt=0)


class WorkerSettings(Section):
    """Detection and checkpoints."""

    checkpoint_s: float = Field(
        10.0, gt=0, description="shortest time between two checkpoints of a partition"
    )
    checkpoint_share: float = Field(
        0.05, gt=0, le=0.5, description="most of its time that a worker spends on them"
    )
    lateness_s: float = Field(0.0, ge=0, description="how far the watermark keeps behind the newest reading")
    ahead_s: float = Field(900.0, ge=0, description="a stamp later than its arrival by more is not believed")
    sentinels: tuple[float, ...] = Field(
        (),
        description="values that stand for an error, as they are sent, e.g. [65535, -1], beside the usual ones",
    )
    instance: str = Field(
        "", description="name of this worker within its group; it then keeps its partitions"
    )
    session_timeout_s: float = Field(30.0, ge=6)


class DetectionSettings(Section):
    """How many flags there may be that turn out to be nothing."""

    budget: float = Field(
        1.0,
        gt=0,
        le=100,
        description="false flags per 1,000 meter-days; every detector that weighs takes its lines from it",
    )


class HistorySettings(Section):
    """What is kept to look at; the state does not depend on it."""

    keep_days: float = Field(400.0, ge=0, description="readings and flags in SQLite; 0: no such history")


class InfluxSettings(Section):
    """InfluxDB 2, or a server that takes its write API. Off without a URL."""

    url: str = ""
    token: SecretStr = SecretStr("")
    org: str = "forestall"
    bucket: str = "forestall"

    @field_validator("url")
    @classmethod
    def _check(cls, value: str) -> str:
        return url_of(value, ("http", "https")) if value else value


class DocumentsSettings(Section):
    """Documents for people outside: docs/documents.md."""

    font: Path | None = Field(
        None,
        description="for Chinese in PDF: .ttf or .ttc with TrueType outlines; none: that of fonts-wqy-microhei, "
        "or another known one",
    )
    subfont: int = Field(0, ge=0, description="which font of a collection (.ttc)")


class ComplaintsSettings(Section):
    """How complaints meet tickets."""

    window_days: float = Field(
        90.0, gt=0, le=3660, description="a closed ticket counts as known for so long after its opening"
    )
    emergency_phone: str = Field("", max_length=64, description="said to whoever smells gas")
    hold_subjects: tuple[str, ...] = Field(
        ("disputed_amount",),
        description="complaints of these subjects hold the bill until a person releases it, e.g. also high_bill",
    )

    @field_validator("hold_subjects")
    @classmethod
    def _about_bills(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        known = [name for name, one in SUBJECTS.items() if one.category is Category.METERING_BILLING]
        if wrong := [name for name in given if name not in known]:
            raise ValueError(f"expected subjects among {', '.join(known)}, got {', '.join(wrong)}")
        return given


class WatchSettings(Section):
    """Self-watch: when operations get a ticket about Forestall itself."""

    silent_s: float = Field(900.0, gt=0, description="no reading at all for so long")
    lag_s: float = Field(300.0, gt=0, description="the worker is behind by so much")
    outbox_s: float = Field(900.0, gt=0, description="the oldest undelivered ticket event is so old")


class PeopleSettings(Section):
    """The table of people."""

    keys: tuple[SecretStr, ...] = Field(
        (), description="32 bytes in base64; the first seals names and numbers, the others still open"
    )


class RetentionSettings(Section):
    """How long what is kept. What is older goes at night."""

    tickets_days: float = Field(
        1825.0, ge=0, description="after their end: tickets with all theirs; 0: for ever"
    )
    complaints_days: float = Field(1095.0, ge=0, description="complaints, after they came in; 0: for ever")
    people_days: float = Field(
        365.0,
        ge=0,
        description="names and numbers, after the last complaint, none of whose tickets is open; 0: for ever",
    )
    audit_days: float = Field(1825.0, ge=0, description="the audit log; 0: for ever")
    muted_days: float = Field(
        90.0,
        ge=0,
        description="mutes, and flags that waited, after their end (below a bar: their last word); 0: for ever",
    )

    @model_validator(mode="after")
    def _in_order(self) -> RetentionSettings:
        if 0 < self.audit_days < 180:
            raise ValueError("expected audit_days of at least 180, or 0 for ever")
        return self


class UserSettings(Section):
    """Somebody, or a program, that may ask the web process."""

    name: str = Field(pattern=r"^\w[\w.@ -]{0,62}\w$", description="in the audit log and on tickets")
    role: Role
    tokens: tuple[SecretStr, ...] = Field(min_length=1, description="several while one is being replaced")

    @model_validator(mode="after")
    def _usable(self) -> UserSettings:
        if self.name.lower() in RESERVED:
            raise ValueError(f"expected another name, {self.name!r} stands for the program itself")
        if any(len(token.get_secret_value()) < _SHORTEST for token in self.tokens):
            raise ValueError(f"expected tokens of at least {_SHORTEST} characters for {self.name!r}")
        return self


class WebSettings(Section):
    """API and pages."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    token: SecretStr = Field(SecretStr(""), description="of the user admin, whose role is admin")
    users: tuple[UserSettings, ...] = Field(
        (), description="[[web.users]]: name, role, tokens (docs/web.md); JSON in the environment"
    )
    language: Literal["en", "zh"] = "en"

    @model_validator(mode="after")
    def _guarded(self) -> WebSettings:
        own = self.token.get_secret_value()
        if not is_loopback(self.host) and len(own) < _SHORTEST and (own or not self.users):
            raise ValueError(
                f"expected token of at least 16 characters where host is {self.host}, not loopback, or users"
            )
        names = [user.name for user in self.users] + ([LOCAL.name] if own else [])
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"expected every name once (admin is whoever has token), got {', '.join(twice)}")
        tokens = [t.get_secret_value() for user in self.users for t in user.tokens] + [own] * bool(own)
        if len(set(tokens)) < len(tokens):
            raise ValueError("expected every token once: a token says who it is that asks")
        return self


class MetricsSettings(Section):
    """Prometheus metrics, health and readiness of ingest and worker; those of web are on its own port."""

    host: str = "127.0.0.1"
    ingest_port: int = Field(9101, ge=0, le=65535, description="0: none")
    worker_port: int = Field(9102, ge=0, le=65535, description="0: none")
    token: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _guarded(self) -> MetricsSettings:
        if not is_loopback(self.host) and len(self.token.get_secret_value()) < 16:
            raise ValueError(
                f"expected token of at least 16 characters where host is {self.host}, not loopback"
            )
        return self


class KafkaSettings(Section):
    """Security and replication of a Kafka cluster."""

    replication: int = Field(1, ge=1, le=9, description="copies of each topic; 3 on a cluster")
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str = ""
    password: SecretStr = SecretStr("")
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
