"""Personal data sealed at rest: AES-256-GCM (NIST SP 800-38D), with keys that can be replaced.

``sealed:1:<key>:<base64 of nonce and ciphertext>``; ``<key>`` names the key by the first 8 hex digits of its
SHA-256. What it is of (person and field) goes in as additional data: a cell moved to another row
does not open there. Without keys texts stay as they are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence

_MARK = "sealed:1:"
_NONCE = 12  # bytes


class SealError(Exception):
    """A text cannot be opened: its key is not configured, or it was changed."""


class Seal:
    """Seals with the first key, opens with all of them.

    keys : 32 bytes each, in base64; none: nothing is sealed
    Raises ValueError for a key that is not that.
    """

    def __init__(self, keys: Sequence[str] = ()) -> None:
        raw = [_key(text) for text in keys]
        self._keys = {hashlib.sha256(key).hexdigest()[:8]: key for key in raw}
        self._first = next(iter(self._keys), "")
        # a key of its own: who can compare numbers cannot open anything with it
        self._search = [hmac.new(key, b"forestall people search", hashlib.sha256).digest() for key in raw]

    def seal(self, text: str, about: str) -> str:
        """Seal a text; empty ones stay empty."""
        if not self._first:
            if text.startswith(_MARK):
                raise ValueError(f"expected a text that does not begin with {_MARK}")
            return text
        if not text:
            return text
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE)
        sealed = AESGCM(self._keys[self._first]).encrypt(nonce, text.encode(), about.encode())
        return f"{_MARK}{self._first}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, text: str, about: str) -> str:
        """The text that was sealed about the same. Raises SealError."""
        if not text.startswith(_MARK):
            return text
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        name, _, body = text.removeprefix(_MARK).partition(":")
        if name not in self._keys:
            raise SealError(
                f"expected key {name} among people.keys to read {about}, got {', '.join(self._keys) or 'none'}: "
                "put it back behind the newest one"
            )
        try:
            raw = base64.b64decode(body, validate=True)
            return AESGCM(self._keys[name]).decrypt(raw[:_NONCE], raw[_NONCE:], about.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise SealError(f"expected what was sealed about {about}, got something else") from error

    def current(self, text: str) -> bool:
        """Whether a text is kept as it would be now."""
        if not text or not self._first:
            return not text.startswith(_MARK)
        return text.startswith(f"{_MARK}{self._first}:")

    def search_key(self, text: str) -> str:
        """What a number or an address is found by; empty for an empty one."""
        return self.search_keys(text)[0] if text else ""

    def search_keys(self, text: str) -> list[str]:
        """What it may be found by: with each key, and from the time before there was one."""
        keys = [*self._search, b""] if self._search else [b""]
        return [hmac.new(key, text.encode(), hashlib.sha256).hexdigest() for key in keys]


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ValueError("expected a key of 32 bytes in base64: `openssl rand -base64 32` makes one")
    return key
