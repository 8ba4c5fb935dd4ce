"""Settings → what staff do about money."""

from __future__ import annotations

from connectors.store import Store
from connectors.store.money import point_from
from streams.clock import Clock
from streams.settings import ConfigError, Settings
from streams.trade.limits import Limits
from streams.trade.money import MoneyConfig, MoneyDesk
from streams.trade.notice_words import Signature
from streams.trade.tariff import Tariffs
from streams.trade.tariff_file import TariffError, load_tariffs


def tariffs(settings: Settings) -> Tariffs | None:
    """The prices of ``tickets.tariffs``; None: no file is named. Raises ConfigError."""
    if settings.tickets.tariffs is None:
        return None
    try:
        return load_tariffs(settings.tickets.tariffs)
    except TariffError as error:
        raise ConfigError(f"tickets.tariffs: {error}") from None


def money_desk(settings: Settings, store: Store, clock: Clock) -> MoneyDesk:
    """Estimates, credits, bills and messages on this store. Raises ConfigError."""
    own = settings.tickets
    config = MoneyConfig(
        tariffs=tariffs(settings),
        limits=Limits(dict(own.credit_limit)),
        signature=Signature(own.company, own.hotline),
    )
    return MoneyDesk(store, config, clock.now_ns, point_from)
