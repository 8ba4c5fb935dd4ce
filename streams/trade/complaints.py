"""Complaints: the values (投诉档案).

A complaint has six groups of fields: who complains (by pseudonym), about what, the content,
what is asked for, the evidence, who took it. Names and telephone numbers are in one place
only (``people``), under ``person_id``.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from streams.trade.states import Category, Urgency


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

    KNOWN = "known"  # a ticket of ours was there first: lead time
    JOINED = "joined"  # a ticket is there, but a customer was first: no lead time, no second ticket
    OPENED = "opened"  # nobody had known: a ticket of its own
    KEPT = "kept"  # of an archive, and no ticket was there then: none is opened either


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
    miss              : about metering, and no ticket of ours was there first
    hold_bill         : whether the bill is to wait while it is disputed: yes, no; empty: as its subject has it
    archive           : of the time before (历史投诉): kept, and nothing comes of it
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
    service_point_id: str = ""  # empty: not found yet, the complaint is unlinked
    meter_id: str = ""
    area: str = ""
    content: str = ""
    demand: str = ""
    attachments: tuple[Attachment, ...] = ()
    taken_by: str = ""
    language: str = "zh"
    ticket_id: str = ""
    outcome: Outcome | None = None
    lead_time_s: float | None = None
    miss: bool = False
    archive: bool = False
    hold_bill: str = ""


class Complainant(msgspec.Struct, frozen=True, kw_only=True):
    """Who complains, as it is kept in the table of people and nowhere else."""

    name: str
    phone: str = ""
    email: str = ""
    address: str = ""
    language: str = "zh"


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Where a complaint belongs, as far as that could be found.

    service_point_id : empty: it could not
    places           : what holds it, as ``scope/name`` (``concentrator/C12``): groups fail there
    """

    service_point_id: str = ""
    meter_id: str = ""
    area: str = ""
    commodity: str = ""
    places: tuple[str, ...] = ()


class ComplaintFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which complaints are asked for; empty and None mean *any*.

    linked            : whether its service point was found; False: of those that somebody has to find it for, so
                        that those of an archive are among them only where ``outcome`` asks for them
    start_ns, end_ns  : of ``at_ns``, the end excluded
    """

    channel: str = ""
    category: str = ""
    subject: str = ""
    outcome: str = ""
    urgency: str = ""
    service_point_id: str = ""
    ticket_id: str = ""
    linked: bool | None = None
    miss: bool | None = None
    start_ns: int | None = None
    end_ns: int | None = None


class Faults(ValueError):
    """What is wrong with a form: a sentence for each fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)
