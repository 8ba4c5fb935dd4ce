"""Lists a page at a time: how a request asks for one, and how an answer names the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query

from connectors.web.problems import Problem

T = TypeVar("T")

NO_NUL = r"^[^\x00]*$"  # PostgreSQL takes none
Limit = Annotated[int, Query(ge=1, le=500, description="at most so many")]
Before = Annotated[str, Query(max_length=64, pattern=NO_NUL, description="next of the page before")]

#: Where a page begins: after this instant [ns since 1970] and id.
Mark = tuple[int, str]


def mark_of(before: str) -> Mark | None:
    """The mark that an earlier page has named; None for an empty one. Raises Problem (422)."""
    if not before:
        return None
    at, _, name = before.partition(".")
    if not _whole(at) or not name:
        raise _no_mark(before)
    return int(at), name


def flag_mark_of(before: str) -> tuple[int, int] | None:
    """The same of a page of flags: their events are numbered. Raises Problem (422)."""
    mark = mark_of(before)
    return None if mark is None else (mark[0], number_of(mark[1]))


def number_of(name: str) -> int:
    """The name of a mark, of things that are numbered. Raises Problem (422)."""
    if not _whole(name):
        raise _no_mark(name)
    return int(name)


def _whole(text: str) -> bool:
    """Whether it is a whole number that a database holds; isdecimal alone would take other scripts' digits."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(text) <= 19 and int(digits) < 1 << 63


def _no_mark(before: str) -> Problem:
    return Problem(
        422, expected="before to be the next of an earlier page", got=repr(before), action="leave it out"
    )


def page(
    found: Sequence[T], limit: int, shown: Callable[[T], dict[str, Any]], mark: Callable[[T], Mark]
) -> dict[str, Any]:
    """The first ``limit`` of what was found, and the mark of the next page; None: there is none.

    found : one more than ``limit``, where there are more
    """
    following = None
    if len(found) > limit:
        at, name = mark(found[limit - 1])
        following = f"{at}.{name}"
    return {"items": [shown(one) for one in found[:limit]], "next": following}
