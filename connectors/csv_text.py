"""The text of CSV files from other people's programs: encodings and separators, told clearly."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["EncodingError", "decoded", "separator_of"]

_RUN = re.compile("[\u0080-\u07ff]{2,}")


class EncodingError(ValueError):
    """The file is not in the encoding that it was taken for."""


def separator_of(head: str) -> str:
    """Return what separates the cells of the first line: a comma, a semicolon or a tab."""
    return max(",;\t", key=head.count)


def decoded(raw: bytes, name: str, encoding: str = "utf-8") -> str:
    """Return the text, without a byte order mark.

    Raises EncodingError, which names the line and what the file seems to be. Short Chinese texts in GB18030
    can be valid UTF-8 by chance (``住宅`` is); they are known by letters of several scripts in one word.
    """
    codec = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    try:
        text = raw.decode(codec)
    except LookupError:
        raise EncodingError(f"{name}: expected the name of an encoding, got {encoding!r}") from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        told = f"{name} line {line}: expected {encoding.upper()}, got the byte 0x{raw[error.start]:02x}"
        if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            guess = "it begins like UTF-16: save it as CSV UTF-8"
        elif _reads_as_chinese(raw):
            guess = f"it reads as GB18030: {_CURE}"
        else:
            guess = "save it as CSV UTF-8"
        raise EncodingError(f"{told}; {guess}") from None
    if codec == "utf-8-sig" and not text.isascii():
        for run in _RUN.finditer(text):
            letters = [sign for sign in run[0] if sign.isalpha() and sign >= "\u00c0"]
            scripts = {unicodedata.name(sign, "").split(" ")[0] for sign in letters}
            if len(scripts) > 1 and _reads_as_chinese(run[0].encode()):
                line = text.count("\n", 0, run.start()) + 1
                raise EncodingError(
                    f"{name} line {line}: expected UTF-8, got letters of {len(scripts)} scripts in a word; "
                    f"it reads as GB18030: {_CURE}"
                )
    return text


_CURE = "save it as CSV UTF-8, or run iconv -f GB18030 -t UTF-8"


def _reads_as_chinese(raw: bytes) -> bool:
    try:
        text = raw.decode("gb18030")
    except UnicodeDecodeError:
        return False
    return any("\u4e00" <= sign <= "\u9fff" for sign in text)
