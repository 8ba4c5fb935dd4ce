"""What the registry says of meters, for whoever asks by meter, service point or place."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from connectors.store.book import put
from connectors.store.engine import writing
from connectors.store.part import Part
from connectors.store.tables_trade import points
from streams.trade.points import Point


class Places(Part):
    """The table ``points``. Part of ``Store``."""

    def keep_points(self, told: Sequence[Point]) -> None:
        """Put what the registry says now in the place of what was known of these meters."""
        with writing(self._engine) as connection:
            put(connection, points, [msgspec.to_builtins(point) for point in told])
