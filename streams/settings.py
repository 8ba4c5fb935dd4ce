"""Configuration: a TOML file, over it the environment (``FORESTALL_MQTT__URL=…``), nothing else.

Every key has a default that runs on one machine with nothing but the package. An unknown key,
a bad URL or a missing file is an error that says where it stands and what was expected.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from streams.desk_sections import DesksSettings
from streams.section import Section, is_loopback, url_of
from streams.sections import (
    ComplaintsSettings,
    DetectionSettings,
    DocumentsSettings,
    HistorySettings,
    InfluxSettings,
    IngestSettings,
    KafkaSettings,
    LogSettings,
    MetricsSettings,
    MqttSettings,
    PeopleSettings,
    RetentionSettings,
    SparkplugSettings,
    WatchSettings,
    WebSettings,
    WorkerSettings,
)
from streams.ticket_sections import TicketsSettings

__all__ = ["ConfigError", "Section", "Settings", "is_loopback", "load"]


class ConfigError(Exception):
    """The configuration cannot be used; the message lists every fault."""


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
    sparkplug: SparkplugSettings = SparkplugSettings()
    log: LogSettings = LogSettings()
    kafka: KafkaSettings = KafkaSettings()
    worker: WorkerSettings = WorkerSettings()
    detection: DetectionSettings = DetectionSettings()
    detectors: dict[str, dict[str, float]] = Field(
        {}, description="parameters by detector, e.g. high_low.high = 2.5"
    )
    sizes: dict[str, float] = Field(
        {}, description="what is small enough to leave alone, see streams/state/constants.py"
    )
    history: HistorySettings = HistorySettings()
    influx: InfluxSettings = InfluxSettings()
    desks: DesksSettings = DesksSettings()
    tickets: TicketsSettings = TicketsSettings()
    complaints: ComplaintsSettings = ComplaintsSettings()
    people: PeopleSettings = PeopleSettings()
    retention: RetentionSettings = RetentionSettings()
    documents: DocumentsSettings = DocumentsSettings()
    watch: WatchSettings = WatchSettings()
    web: WebSettings = WebSettings()
    metrics: MetricsSettings = MetricsSettings()

    @field_validator("broker")
    @classmethod
    def _broker(cls, value: str) -> str:
        return url_of(value, ("kafka", "sqlite")) if value else value

    @field_validator("store")
    @classmethod
    def _store(cls, value: str) -> str:
        return url_of(value, ("sqlite", "postgresql")) if value else value

    @model_validator(mode="after")
    def _sparkplug_is_on(self) -> Settings:
        if self.sparkplug != SparkplugSettings() and not self.ingest.sparkplug:
            raise ValueError(
                "expected ingest.sparkplug = true beside the table sparkplug, which is for it alone"
            )
        return self

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
        "documents.font": settings.documents.font,
        "tickets.calendar": settings.tickets.calendar,
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
