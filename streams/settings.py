"""Configuration: a TOML file, over it the environment (``FORESTALL_MQTT__URL=…``), nothing else.

Every key has a default that runs on one machine with nothing but the package. An unknown key,
a bad URL or a missing file is an error that says where it stands and what was expected.
"""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class ConfigError(Exception):
    """The configuration cannot be used; the message lists every fault."""


def _url(value: str, schemes: tuple[str, ...]) -> str:
    scheme = urlsplit(value).scheme
    if scheme not in schemes:
        raise ValueError(
            f"expected a URL that starts with {' or '.join(s + '://' for s in schemes)}, got {value!r}"
        )
    return value


def is_loopback(host: str) -> bool:
    """Whether a host name can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Section(BaseModel):
    """A table of the file; keys that it does not know are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
        return _url(value, ("mqtt", "mqtts")) if value else value

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
    sparkplug: bool = Field(False, description="take Sparkplug B (spBv1.0/#)")
    mappings: tuple[Path, ...] = Field((), description="mapping files for other payloads")
    linger_ms: float = Field(20.0, ge=0, le=10_000, description="longest wait to fill a batch")
    max_messages: int = Field(1000, ge=1, description="MQTT messages in a batch")
    tick_s: float = Field(60.0, ge=0, description="clock ticks for quiet times; 0: none")


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
    instance: str = Field(
        "", description="name of this worker within its group; it then keeps its partitions"
    )
    session_timeout_s: float = Field(30.0, ge=6)


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
        return _url(value, ("http", "https")) if value else value


class WebhookSettings(Section):
    """Tickets out by Standard Webhooks. Off without a URL."""

    url: str = ""
    secrets: tuple[SecretStr, ...] = Field((), description="whsec_…; several while one is being replaced")
    allow_private: bool = Field(False, description="also deliver to addresses inside one's own network")
    lookup_url: str = Field(
        "", description="where to ask whether a reference is known: https://…/{reference}"
    )

    @field_validator("url", "lookup_url")
    @classmethod
    def _check(cls, value: str) -> str:
        return _url(value, ("http", "https")) if value else value

    @model_validator(mode="after")
    def _signed(self) -> WebhookSettings:
        if self.url and not self.secrets:
            raise ValueError(
                "expected at least one of secrets (whsec_…) beside url: unsigned webhooks are not sent"
            )
        return self


class EmailSettings(Section):
    """E-mail for emergencies. Off without a host."""

    host: str = ""
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: SecretStr = SecretStr("")
    sender: str = "forestall@localhost"
    recipients: tuple[str, ...] = ()
    language: Literal["en", "zh"] = "en"

    @model_validator(mode="after")
    def _addressed(self) -> EmailSettings:
        if self.host and not self.recipients:
            raise ValueError("expected recipients beside host")
        return self


class DesksSettings(Section):
    """Where tickets go."""

    webhook: WebhookSettings = WebhookSettings()
    email: EmailSettings = EmailSettings()


class WatchSettings(Section):
    """Self-watch: when operations get a ticket about Forestall itself."""

    silent_s: float = Field(900.0, gt=0, description="no reading at all for so long")
    lag_s: float = Field(300.0, gt=0, description="the worker is behind by so much")
    outbox_s: float = Field(900.0, gt=0, description="the oldest undelivered ticket event is so old")


class WebSettings(Section):
    """API and pages."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    token: SecretStr = SecretStr("")
    language: Literal["en", "zh"] = "en"

    @model_validator(mode="after")
    def _guarded(self) -> WebSettings:
        if not is_loopback(self.host) and len(self.token.get_secret_value()) < 16:
            raise ValueError(
                f"expected token of at least 16 characters where host is {self.host}, not loopback"
            )
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


class Settings(BaseSettings):
    """All of it."""

    model_config = SettingsConfigDict(
        env_prefix="FORESTALL_", env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )
    file: ClassVar[Path | None] = None

    app: str = Field("forestall", pattern=r"^[a-z][a-z0-9-]{0,39}$", description="name of topics and groups")
    data_dir: Path = Field(Path("forestall-data"), description="where the embedded log and databases are")
    broker: str = Field("", description="kafka://host:port,…; empty: the embedded log in data_dir")
    store: str = Field("", description="postgresql://user:password@host/database; empty: SQLite in data_dir")
    partitions: int = Field(4, ge=1, le=1024, description="of readings.v1; fixed once the topic exists")
    clock_file: Path | None = Field(
        None, description="a clock that a test or the demo sets, shared by all processes"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_json: bool = False
    mqtt: MqttSettings = MqttSettings()
    ingest: IngestSettings = IngestSettings()
    log: LogSettings = LogSettings()
    kafka: KafkaSettings = KafkaSettings()
    worker: WorkerSettings = WorkerSettings()
    detectors: dict[str, dict[str, float]] = Field(
        {}, description="parameters by detector, e.g. high_low.high = 2.5"
    )
    sizes: dict[str, float] = Field(
        {}, description="what is small enough to leave alone, see streams/constants.py"
    )
    history: HistorySettings = HistorySettings()
    influx: InfluxSettings = InfluxSettings()
    desks: DesksSettings = DesksSettings()
    watch: WatchSettings = WatchSettings()
    web: WebSettings = WebSettings()
    metrics: MetricsSettings = MetricsSettings()

    @field_validator("broker")
    @classmethod
    def _broker(cls, value: str) -> str:
        return _url(value, ("kafka", "sqlite")) if value else value

    @field_validator("store")
    @classmethod
    def _store(cls, value: str) -> str:
        return _url(value, ("sqlite", "postgresql")) if value else value

    @model_validator(mode="after")
    def _births_are_not_shared(self) -> Settings:
        if self.mqtt.shared_group and self.ingest.sparkplug:
            raise ValueError(
                "expected no mqtt.shared_group where ingest.sparkplug is on: every ingest must see every birth; "
                "run one ingest for Sparkplug by itself"
            )
        return self

    @property
    def embedded(self) -> bool:
        """Whether the log is the embedded one."""
        return not self.broker or self.broker.startswith("sqlite:")

    @property
    def broker_url(self) -> str:
        """The log's URL, as Faust and our connectors take it."""
        if self.broker:
            return self.broker
        # Four slashes and an absolute path, so that every process means the same file.
        path = quote(str((self.data_dir / "log.db").absolute()))
        keep = f"retention_age={self.log.retention_days:g}d&retention_size={self.log.retention_gb:g}GB"
        return f"sqlite:///{path}?durability={self.log.durability}&{keep}"

    @property
    def store_url(self) -> str:
        """The tickets' database."""
        return self.store or f"sqlite:///{(self.data_dir / 'tickets.db').absolute()}"

    @property
    def history_path(self) -> Path:
        """The SQLite history."""
        return self.data_dir / "history.db"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, whose content is handed in."""
        return env_settings, init_settings


def load(path: Path | None = None, **overrides: Any) -> Settings:
    """Read the configuration. Raises ConfigError that lists every fault and where it stands."""
    content: dict[str, Any] = {}
    where = "the environment"
    if path is not None:
        where = str(path)
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"expected a configuration file at {path}, there is none") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"expected TOML in {path}, got: {error}") from error
    try:
        settings = Settings(**{**content, **overrides})
    except ValidationError as error:
        lines = []
        for fault in error.errors():
            key = ".".join(str(part) for part in fault["loc"]) or "the whole"
            if fault["type"] == "extra_forbidden":
                lines.append(
                    f"  {key}: unknown key; `forestall check-config --keys` lists those that there are"
                )
            else:
                lines.append(f"  {key}: {fault['msg'].removeprefix('Value error, ')}")
        raise ConfigError(f"{where} cannot be used:\n" + "\n".join(lines)) from None
    files = {
        "ingest.registry": settings.ingest.registry,
        "mqtt.ca": settings.mqtt.ca,
        "mqtt.cert": settings.mqtt.cert,
        "mqtt.key": settings.mqtt.key,
        "kafka.ca": settings.kafka.ca,
        "kafka.cert": settings.kafka.cert,
        "kafka.key": settings.kafka.key,
        **{f"ingest.mappings.{i}": mapping for i, mapping in enumerate(settings.ingest.mappings)},
    }
    missing = [
        f"  {key}: expected a file at {name}, there is none"
        for key, name in files.items()
        if name and not name.is_file()
    ]
    if missing:
        raise ConfigError(f"{where} cannot be used:\n" + "\n".join(missing))
    return settings
