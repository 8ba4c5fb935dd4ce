"""Short messages to people: robots of instant messengers, gateways of SMS, by one POST each.

What is sent is a JSON template. Its strings are filled in after it was read as JSON, so no text of
a ticket can break out of its string. The robots of WeCom, DingTalk and Feishu answer 200 also
where they refuse: their error code is what counts.

.. [1] 企业微信 群机器人, https://developer.work.weixin.qq.com/document/path/91770
.. [2] 钉钉 自定义机器人, https://open.dingtalk.com/document/orgapp/custom-robots-send-group-messages
.. [3] 飞书 自定义机器人, https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlencode

import msgspec

from connectors.desks.http import PLAIN, CallConfig, Caller, Reply, check_url, judge
from connectors.desks.http_desk import HttpDesk
from connectors.desks.told import Told
from streams.messages import NS
from streams.ports import Rejected, Unavailable
from streams.trade.deliveries import TicketEvent

Kind = Literal["generic", "wecom", "dingtalk", "feishu"]
PLACEHOLDERS = ("ticket", "title", "text", "priority", "urgency", "state", "service_point", "event")

#: what each kind is sent where the configuration gives no body
BODIES: dict[str, str] = {
    "generic": '{"ticket": "{ticket}", "priority": "{priority}", "title": "{title}", "text": "{text}"}',
    "wecom": '{"msgtype": "text", "text": {"content": "{title}\\n{text}"}}',
    "dingtalk": '{"msgtype": "text", "text": {"content": "{title}\\n{text}"}}',
    "feishu": '{"msg_type": "text", "content": {"text": "{title}\\n{text}"}}',
}
#: bytes of one text that a robot takes; a message is cut, not refused
_LONGEST = {"generic": 4000, "wecom": 2048, "dingtalk": 6000, "feishu": 6000}
#: the field of an answer that is 0 where the message was taken
_CODE = {"wecom": "errcode", "dingtalk": "errcode", "feishu": "code"}
#: too many messages: each robot may send 20 (Feishu 100) a minute
_TOO_MANY = frozenset({45009, 130101, 410100, 11232})
#: what it was sent is wrong and will never be taken; all else (signature, key word, robot removed) may be mended
_NEVER = frozenset({40008, 40035, 40058, 44004, 45002, 9499})


@dataclass(frozen=True, slots=True)
class MessageConfig:
    """One robot or gateway.

    kind      : what answers, and how it is signed
    body      : JSON; ``{title}``, ``{text}``, ``{ticket}``, ``{priority}``, ``{urgency}``, ``{state}``,
                ``{service_point}`` and ``{event}`` in its strings are filled in
    secret    : DingTalk's and Feishu's 加签; of a generic gateway the key of HMAC-SHA256 over
                ``timestamp.body``, sent as ``X-Timestamp`` and ``X-Signature: sha256=…``
    urgencies : events of these are sent if their type is one of ``types``
    always    : events of these types are sent whatever their urgency
    """

    name: str
    url: str = field(repr=False)
    kind: Kind = "generic"
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    body: str = ""
    secret: str = field(default="", repr=False)
    language: str = "zh"
    urgencies: tuple[str, ...] = ("emergency",)
    types: tuple[str, ...] = ("opened", "updated", "joined")
    always: tuple[str, ...] = ("escalated",)
    drills: bool = True
    call: CallConfig = PLAIN

    def __post_init__(self) -> None:
        check_url(self.name, self.url, allow_private=self.call.allow_private)
        if self.kind == "wecom" and self.secret:
            raise ValueError(
                f"{self.name}: expected no secret, WeCom's robots are known by the key in their url"
            )
        template(self.name, self.body or BODIES[self.kind])


class Message(HttpDesk):
    """Delivers ticket events to one robot or gateway."""

    def __init__(self, config: MessageConfig, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._config = config
        self._now_ns = now_ns
        self._template = template(config.name, config.body or BODIES[config.kind])
        super().__init__(config, Caller(config.call, now_ns=now_ns))

    def wants(self, event: TicketEvent) -> bool:
        config = self._config
        if event.type in config.always:
            return config.drills or not event.drill
        return super().wants(event)

    async def find(self, event: TicketEvent) -> str | None:
        """A message once sent is not seen again."""
        return None

    async def deliver(self, event: TicketEvent, remote_id: str) -> str:
        """Send one message."""
        body = fill(self._template, self._values(event))
        url, headers, content = self._signed(body)
        reply = await self._caller.call(self._config.method, url, content, headers)
        judge(self.endpoint, reply)
        self._heed(reply)
        return remote_id

    def _values(self, event: TicketEvent) -> dict[str, str]:
        told, language = Told(event), self._config.language
        room = _LONGEST[self._config.kind]
        title = _cut(told.title(language), room // 4)
        return {
            "ticket": event.ticket_id,
            "title": title,
            "text": _cut(told.body(language), room - len(title.encode()) - 1),
            "priority": event.priority,
            "urgency": event.urgency,
            "state": told.state,
            "service_point": told.text("service_point_id"),
            "event": event.id,
        }

    def _signed(self, body: Any) -> tuple[str, dict[str, str], bytes]:
        """Address, headers and content, signed as the kind wants it."""
        config, now = self._config, self._now_ns()
        headers = {**config.headers, "content-type": "application/json; charset=utf-8"}
        url = config.url
        if config.secret and config.kind == "dingtalk":
            stamp = str(now // 1_000_000)
            sign = _mac(config.secret.encode(), f"{stamp}\n{config.secret}".encode())
            url += ("&" if "?" in url else "?") + urlencode({"timestamp": stamp, "sign": sign})
        elif config.secret and config.kind == "feishu":
            # its key is what others would sign, and it signs nothing
            stamp = str(now // NS)
            body = {"timestamp": stamp, "sign": _mac(f"{stamp}\n{config.secret}".encode(), b""), **body}
        content = msgspec.json.encode(body)
        if config.secret and config.kind == "generic":
            stamp = str(now // NS)
            digest = hmac.new(config.secret.encode(), f"{stamp}.".encode() + content, hashlib.sha256)
            headers |= {"x-timestamp": stamp, "x-signature": f"sha256={digest.hexdigest()}"}
        return url, headers, content

    def _heed(self, reply: Reply) -> None:
        """Raise where a robot has answered 200 and means no."""
        name = _CODE.get(self._config.kind)
        if name is None:
            return
        answer = reply.json
        code = answer.get(name) if isinstance(answer, dict) else None
        if code == 0:
            return
        if code in _TOO_MANY:
            raise Unavailable(self.endpoint, f"too many messages: {reply.said}", 60.0)
        if code in _NEVER:
            raise Rejected(self.endpoint, reply.said)
        raise Unavailable(self.endpoint, f"expected {name} 0, got {reply.said}", 60.0)


def template(name: str, body: str) -> Any:
    """The body as JSON. Raises ValueError where it is none, or names what there is not."""
    try:
        made = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError(f"{name}: expected body to be JSON, got {error}") from None
    if not isinstance(made, dict):
        raise ValueError(f"{name}: expected body to be a JSON object, got {type(made).__name__}")
    fill(made, dict.fromkeys(PLACEHOLDERS, ""), name)
    return made


def fill(part: Any, values: Mapping[str, str], name: str = "") -> Any:
    """The template with its placeholders filled in, in strings only. Raises ValueError for an unknown one."""
    if isinstance(part, dict):
        return {key: fill(inner, values, name) for key, inner in part.items()}
    if isinstance(part, list):
        return [fill(inner, values, name) for inner in part]
    if not isinstance(part, str):
        return part
    out, rest = "", part
    while "{" in rest:
        before, _, rest = rest.partition("{")
        word, closed, rest = rest.partition("}")
        if not closed or word not in values:
            raise ValueError(
                f"{name}: expected one of {', '.join(values)} in braces, got {{{word[:40]}{'}' if closed else ''}"
            )
        out += before + values[word]
    return out + rest


def _mac(key: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def _cut(text: str, most: int) -> str:
    """The text, cut to so many bytes of UTF-8, on a whole character."""
    raw = text.encode()
    return text if len(raw) <= most else raw[: max(0, most - 3)].decode(errors="ignore") + "…"
