"""How documents are made: the settings, the builder and the fonts put together."""

from __future__ import annotations

from importlib.metadata import version

from connectors.documents import Fonts
from connectors.web.sources import Papers
from streams.papers import pack
from streams.settings import Settings


def papers(settings: Settings) -> Papers:
    """What the web process makes documents with."""
    own = settings.documents
    return Papers(
        pack=pack.build,
        fonts=Fonts(str(own.font or ""), own.subfont),
        zone=settings.tickets.time_zone,
        version=version("forestall"),
    )
