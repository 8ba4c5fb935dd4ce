"""Readings of a meter parted from its name: what they add up to stays, whose they were goes."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from connectors.sqlite_history.reader import connect, failure
from connectors.sqlite_history.runs import prepare, transaction
from streams.ports import Rejected


def part(path: str | Path, meters: Iterable[str]) -> int:
    """Give the readings of these meters names of chance, and delete their flag events; return how many had any.

    What comes in from them later stands under their own names again. Raises Unavailable, or
    Rejected for a file that is no history; one that is not there holds nothing.
    """
    if not Path(path).exists():
        return 0
    count = 0
    try:
        db = connect(str(path))
        try:
            prepare(db, str(path))
            with transaction(db):
                for meter in meters:
                    new = f"erased-{secrets.token_hex(8)}"
                    count += bool(
                        db.execute("UPDATE series SET meter = ? WHERE meter = ?", (new, meter)).rowcount
                    )
                    db.execute("DELETE FROM flags WHERE meter = ?", (meter,))
        finally:
            db.close()
    except sqlite3.Error as error:
        raise failure(str(path), error) from error
    except ValueError as error:
        raise Rejected(str(path), str(error)) from error
    return count
