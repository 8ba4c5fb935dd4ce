"""Variables of the environment that look like settings of ours and are none: misspelt ones."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from streams.programs.explain_config import keys
from streams.settings import Settings
from streams.supervise import CHILD

PREFIX = "FORESTALL_"
#: what the supervisor, the tests and the Makefile go by; no settings, and no mistakes
TOOLS = frozenset(
    {CHILD}
    | {
        PREFIX + name
        for name in (
            "AWAY_S",
            "EXAMPLES",
            "INFLUXDB",
            "JOBS",
            "NO_SKIP",
            "ROUNDS",
            "SEED",
            "SERVICES",
            "SHOTS",
        )
    }
)
#: what Kubernetes gives every container of a namespace with a service of our name
_LINK = re.compile(r"FORESTALL(_\w+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP)(_\w+)?)")
_LINK_URL = re.compile(r"(tcp|udp)://")


def variable(key: str) -> str:
    """The variable of a key: ``mqtt.url`` → ``FORESTALL_MQTT__URL``."""
    return PREFIX + key.replace(".", "__").upper()


def unknown(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that begins with FORESTALL_ and is not known, with the nearest that is."""
    names = [variable(key) for key, *_ in keys()]
    tables = {variable(table) for table in _tables(Settings)}
    free = tuple(variable(key) + "__" for key, kind, *_ in keys() if kind.startswith("dict"))
    out = []
    for name, value in sorted(environment.items()):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in TOOLS or upper in tables or upper in names:
            continue
        linked = _LINK.fullmatch(upper) or (upper.endswith("_PORT") and _LINK_URL.match(value))
        if linked or upper.startswith(free):
            continue
        near = difflib.get_close_matches(
            upper.removeprefix(PREFIX), [n.removeprefix(PREFIX) for n in names], 1
        )
        hint = (
            f"did you mean {PREFIX}{near[0]}?" if near else "`forestall check-config --keys` lists the keys"
        )
        out.append(f"{name}: expected a variable of a key, FORESTALL_TABLE__KEY, got an unknown one; {hint}")
    return out


def _tables(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The tables, which may be given whole, as JSON."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield prefix + name
            yield from _tables(info.annotation, f"{prefix}{name}.")
