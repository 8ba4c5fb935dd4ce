"""Complaints: the values (投诉档案).

A complaint has six groups of fields: who complains (by pseudonym), about what, the content,
what is asked for, the evidence, who took it. Names and telephone numbers are in one place
only (``people``), under ``person_id``.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from streams.states import Category, Urgency


class Channel(StrEnum):
    """Where a complaint came in."""

    HOTLINE = "hotline"
    COUNTER = "counter"
    SITE = "site"
    APP = "app"
    SOCIAL = "social"
    LETTER = "letter"


class Stage(StrEnum):
    """When in the life of a supply: 安装投诉, 使用投诉."""

    INSTALLATION = "installation"
    USE = "use"


class Outcome(StrEnum):
    """What became of a complaint on arrival."""

    KNOWN = "known"  # a ticket was there first: lead time
    JOINED = "joined"  # a ticket is open that a complaint had opened: no lead time, no second ticket
    OPENED = "opened"  # nobody had known: a miss where it is about metering


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A photo, a recording, a bill: kept by the complaint system, named here."""

    name: str
    media_type: str = ""
    sha256: str = ""
    url: str = ""


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """One complaint of one person.

    source, reference : who told us of it, and its number there; the two together come once
    at_ns             : when the customer complained; lead time counts to it
    subject           : a code of ``linking.SUBJECTS``, the thing complained of (投诉对象)
    lead_time_s       : at − opening of the ticket that was there first. [s]
    """

    id: str
    source: str
    reference: str
    at_ns: int
    received_ns: int
    channel: Channel
    stage: Stage = Stage.USE
    category: Category
    urgency: Urgency = Urgency.NORMAL
    impact: str = ""  # e.g. vip, hospital
    subject: str = ""
    person_id: str = ""
    named: str = ""  # meter, service point or alias as it was given
    service_point_id: str = ""
    meter_id: str = ""
    content: str = ""
    demand: str = ""
    attachments: tuple[Attachment, ...] = ()
    taken_by: str = ""
    language: str = "zh"
    ticket_id: str = ""
    outcome: Outcome | None = None
    lead_time_s: float | None = None
    miss: bool = False
