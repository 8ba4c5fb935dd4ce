"""The tables of the configuration below ``desks``: where tickets go, and what comes back."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from streams.section import Section, url_of

_TYPES = "types of events: opened, updated, joined, cleared, linked, moved, escalated …; empty: all"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def _web(value: str) -> str:
    return url_of(value, ("http", "https")) if value else value


class WebhookSettings(Section):
    """Tickets out by Standard Webhooks. Off without a URL."""

    url: str = ""
    secrets: tuple[SecretStr, ...] = Field((), description="whsec_…; several while one is being replaced")
    allow_private: bool = Field(False, description="also deliver to addresses inside one's own network")
    lookup_url: str = Field(
        "", description="where to ask whether a reference is known: https://…/{reference}"
    )
    hook_secrets: tuple[SecretStr, ...] = Field(
        (), description="whsec_… of what comes back at /hooks/webhook; none: nothing is taken"
    )

    @field_validator("url", "lookup_url")
    @classmethod
    def _check(cls, value: str) -> str:
        return _web(value)

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


class ZammadSettings(Section):
    """Tickets in Zammad. Off without a URL."""

    url: str = Field("", description="of Zammad itself, without /api/v1")
    token: SecretStr = Field(SecretStr(""), description="access token of an agent")
    group: str = Field("Users", description="group that tickets are created in")
    customer: str = Field("", description="login or address of the customer they are created for; must exist")
    internal: bool = Field(False, description="articles are hidden from the customer")
    language: Literal["en", "zh"] = "zh"
    pending_days: float = Field(7.0, gt=0, description="after which a pending ticket comes up again there")
    types: tuple[str, ...] = Field((), description=_TYPES)
    drills: bool = True
    allow_private: bool = Field(False, description="also where it is inside one's own network")
    hook_secret: SecretStr = Field(
        SecretStr(""), description="HMAC SHA1 token of its webhook at /hooks/zammad; empty: nothing is taken"
    )

    @field_validator("url")
    @classmethod
    def _check(cls, value: str) -> str:
        return _web(value)

    @model_validator(mode="after")
    def _complete(self) -> ZammadSettings:
        if self.url and not (self.token.get_secret_value() and self.customer):
            raise ValueError("expected token and customer beside url")
        return self


class Tmf621Settings(Section):
    """Trouble tickets by TMF621 v5. Off without a URL."""

    url: str = Field("", description="of the API: https://…/tmf-api/troubleTicket/v5")
    token: SecretStr = Field(SecretStr(""), description="sent as Authorization: Bearer")
    language: Literal["en", "zh"] = "zh"
    types: tuple[str, ...] = Field((), description=_TYPES)
    drills: bool = True
    allow_private: bool = Field(False, description="also where it is inside one's own network")
    hook_token: SecretStr = Field(
        SecretStr(""), description="Bearer token of its events at /hooks/tmf621; empty: nothing is taken"
    )

    @field_validator("url")
    @classmethod
    def _check(cls, value: str) -> str:
        return _web(value)


class AlertmanagerSettings(Section):
    """Alerts in the payload of Alertmanager's webhook. Off without a URL."""

    url: str = Field("", description="of a receiver of Alertmanager's webhook")
    token: SecretStr = Field(SecretStr(""), description="sent as Authorization: Bearer")
    receiver: str = Field("forestall", description="the name that the payload gives")
    external_url: str = Field("", description="of our pages, for links")
    language: Literal["en", "zh"] = "zh"
    types: tuple[str, ...] = Field((), description=_TYPES)
    urgencies: tuple[str, ...] = Field((), description="emergency, normal, low; empty: all")
    drills: bool = True
    allow_private: bool = Field(False, description="also where it is inside one's own network")

    @field_validator("url", "external_url")
    @classmethod
    def _check(cls, value: str) -> str:
        return _web(value)


class MessageSettings(Section):
    """A robot of an instant messenger, or a gateway of SMS."""

    kind: Literal["generic", "wecom", "dingtalk", "feishu"] = "generic"
    url: SecretStr = Field(SecretStr(""), description="of the robot; what it is known by may stand in it")
    method: Literal["POST", "PUT"] = "POST"
    headers: dict[str, str] = Field({}, description="further headers, an authorisation for instance")
    body: str = Field("", description="JSON with {title} {text} {ticket} … in strings; empty: the kind's own")
    secret: SecretStr = Field(SecretStr(""), description="加签 of DingTalk, Feishu; HMAC-SHA256 of a gateway")
    language: Literal["en", "zh"] = "zh"
    urgencies: tuple[str, ...] = Field(("emergency",), description="whose events are sent; empty: all")
    types: tuple[str, ...] = Field(("opened", "updated", "joined"), description="… of these types")
    always: tuple[str, ...] = Field(("escalated",), description="types that are sent at any urgency")
    drills: bool = True
    allow_private: bool = Field(False, description="also where it is inside one's own network")

    @model_validator(mode="after")
    def _complete(self) -> MessageSettings:
        if not self.url.get_secret_value():
            raise ValueError("expected url, the address of the robot or gateway")
        _web(self.url.get_secret_value())
        return self


class DesksSettings(Section):
    """Where tickets go."""

    webhook: WebhookSettings = WebhookSettings()
    email: EmailSettings = EmailSettings()
    zammad: ZammadSettings = ZammadSettings()
    tmf621: Tmf621Settings = Tmf621Settings()
    alertmanager: AlertmanagerSettings = AlertmanagerSettings()
    messages: dict[str, MessageSettings] = Field({}, description="robots and gateways, each by a name")

    @field_validator("messages")
    @classmethod
    def _named(cls, value: dict[str, MessageSettings]) -> dict[str, MessageSettings]:
        for name in value:
            if not _NAME.fullmatch(name):
                raise ValueError(f"expected a name of small letters, digits and -, got {name!r}")
        return value
