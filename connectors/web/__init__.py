"""HTTP out: the API, the pages for operators, and metrics and health of every process.

``probe`` is light and runs in each process. What the ``web`` process needs is loaded when it is
asked for: it brings FastAPI along, and NiceGUI once an application with pages is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.web.app import PortTaken, Sources, User, Vocabulary, WebConfig, make_app, serve

__all__ = ["PortTaken", "Sources", "User", "Vocabulary", "WebConfig", "make_app", "serve"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from connectors.web import app

    return getattr(app, name)
