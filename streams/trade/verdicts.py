"""Verdicts back: what people say a flag was, and how precise each detector is by that."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec
from msgspec.structs import replace

from streams.trade.book import Book
from streams.trade.judged import Judged, wilson
from streams.trade.judging import flags_of, write_words
from streams.trade.lifecycle import Refused, record, word_of
from streams.trade.tickets import State, Ticket, Verdict

#: reasons of a false alarm that are offered; any text is taken. code → (Chinese, English)
REASONS: dict[str, tuple[str, str]] = {
    "data_error": ("数据传输或采集错误", "faulty transmission of data"),
    "registry_error": ("档案信息有误", "wrong entry in the registry"),
    "unrecorded_work": ("现场作业未登记", "work on site that nobody had entered"),
    "unrecorded_swap": ("换表未登记", "meter swap that nobody had entered"),
    "own_habit": ("符合该户一贯用量", "usual for this customer"),
    "rule_too_strict": ("判定过严", "rule too strict"),
}


def judge(
    book: Book,
    ticket: Ticket,
    verdict: str,
    reason: str,
    actor: str,
    now_ns: int,
    flag_ids: Collection[str] = (),
) -> Ticket:
    """Say what a ticket's flags have turned out to be; the newest word counts.

    ticket   : with its history; its flags' episodes are in the book
    flag_ids : these flags alone: the ticket's own verdict stays as it is. None: all of its flags,
        and the ticket's verdict with them

    The same word again changes nothing. A drill's ticket gets its verdict; its flags never count.
    Raises Refused for an unknown verdict, a false alarm without a reason, a flag of another ticket,
    a merged ticket.
    """
    word = word_of(verdict, reason)
    if not actor:
        raise Refused("expected the name of whoever judges, got none")
    if ticket.state is State.MERGED:
        raise Refused(
            f"expected a ticket that stands by itself, got a merged one: judge {ticket.merged_into}"
        )
    own = flags_of(book, ticket)
    strangers = sorted(set(flag_ids) - set(own))
    if strangers:
        raise Refused(f"expected flags of {ticket.id}, got {', '.join(strangers[:5])}")
    chosen = [flag for flag in own if flag in flag_ids] if flag_ids else own
    said = ticket if flag_ids else replace(ticket, verdict=word, verdict_reason=reason)
    if (
        not write_words(book, ticket, chosen, word, reason, actor, now_ns, single=bool(flag_ids))
        and said == ticket
    ):
        return ticket
    note = f"{word}: {reason}" if reason else str(word)
    one = chosen[0] if flag_ids and len(chosen) == 1 else ""
    if flag_ids and not one:
        note = f"{note} ({', '.join(chosen[:20])})"
    return record(book, said, now_ns, "judged", actor, note=note, flag_id=one)


class Precision(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the flags that people have judged were worth raising.

    precision : (confirmed + explained) / judged. An explained flag was right: the use was there
        and it was unusual; only its cause was harmless
    low, high : Wilson's interval of it, 95 %
    strict    : confirmed / judged: what would have been worth a visit
    """

    judged: int
    confirmed: int
    explained: int
    false_alarms: int
    precision: float | None
    low: float | None
    high: float | None
    strict: float | None


def precision(confirmed: int, explained: int, false_alarms: int) -> Precision:
    """The figures of one group of judged flags."""
    of = confirmed + explained + false_alarms
    low, high = wilson(confirmed + explained, of)
    return Precision(
        judged=of,
        confirmed=confirmed,
        explained=explained,
        false_alarms=false_alarms,
        precision=(confirmed + explained) / of if of else None,
        low=low if of else None,
        high=high if of else None,
        strict=confirmed / of if of else None,
    )


def precision_of(words: Iterable[Judged]) -> Precision:
    """The figures of these flags."""
    counted = dict.fromkeys(Verdict, 0)
    for word in words:
        counted[word.verdict] += 1
    return precision(counted[Verdict.CONFIRMED], counted[Verdict.EXPLAINED], counted[Verdict.FALSE_ALARM])


#: what precision can be told apart by
GROUPS = ("detector", "kind", "family", "area", "month")
#: flags of one group that were judged alike: month, detector, kind, family, area, verdict, how many
Row = tuple[str, str, str, str, str, str, int]
_PLACE = {"month": 0, "detector": 1, "kind": 2, "family": 3, "area": 4}


def tabulate(rows: Iterable[Row], by: Sequence[str]) -> list[tuple[tuple[str, ...], Precision]]:
    """The figures of every group, in order. Raises ValueError for a name that is not of ``GROUPS``."""
    unknown = [name for name in by if name not in _PLACE]
    if unknown:
        raise ValueError(f"expected groups of {', '.join(GROUPS)}, got {', '.join(unknown)}")
    counted: dict[tuple[str, ...], dict[str, int]] = {}
    for row in rows:
        group = counted.setdefault(tuple(str(row[_PLACE[name]]) for name in by), {})
        group[row[5]] = group.get(row[5], 0) + row[6]
    return [
        (
            group,
            precision(
                said.get(Verdict.CONFIRMED, 0),
                said.get(Verdict.EXPLAINED, 0),
                said.get(Verdict.FALSE_ALARM, 0),
            ),
        )
        for group, said in sorted(counted.items())
    ]
