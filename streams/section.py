"""What all tables of the configuration are made of."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict


def url_of(value: str, schemes: tuple[str, ...]) -> str:
    """The URL, if it has one of the schemes; ValueError else."""
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
