"""Faust on the embedded log: the transport behind ``broker="sqlite:///forestall.db"``.

Registered in the entry-point group ``faust.transports``, so that an unmodified Faust finds
it by the URL's scheme. One process consumes a log; any number of Faust apps in it may, each
with a group of its own, and gets all partitions of what it subscribes to.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, ClassVar, cast

from faust.exceptions import ImproperlyConfigured
from faust.transport import base
from faust.types.enums import ProcessingGuarantee
from faust.types.transports import ConsumerT, ProducerT

from connectors.sqlite_log import Options, SqliteLog
from connectors.sqlite_transport.consumer import Consumer
from connectors.sqlite_transport.producer import Producer

if TYPE_CHECKING:
    from faust.types.transports import ConsumerCallback

__all__ = ["Transport"]


class Transport(base.Transport):
    """Makes consumers and producers on the log that the broker URL names."""

    Consumer: ClassVar[type[ConsumerT]] = Consumer
    Producer: ClassVar[type[ProducerT]] = Producer

    driver_version = f"sqlite={sqlite3.sqlite_version}"

    def create_consumer(self, callback: ConsumerCallback, **kwargs: Any) -> ConsumerT:
        """Make the app's consumer; ImproperlyConfigured for ``exactly_once``."""
        self._check()
        return super().create_consumer(callback, **kwargs)

    def create_producer(self, **kwargs: Any) -> ProducerT:
        """Make the app's producer; ImproperlyConfigured for ``exactly_once``."""
        self._check()
        return super().create_producer(**kwargs)

    def open_log(self) -> SqliteLog:
        """Open the log; every caller closes what it got, the file stays open until the last has."""
        return SqliteLog(self.options())

    def options(self) -> Options:
        """Read the URL; ImproperlyConfigured says what is wrong with it."""
        if len(self.url) != 1:
            raise ImproperlyConfigured(
                f"expected one sqlite:/// URL, got {len(self.url)}: {[str(url) for url in self.url]}; "
                "a ',' or ';' in the path cuts the URL: pass the app yarl.URL(...) in place of a string"
            )
        try:
            return Options.from_url(str(self.url[0]))
        except ValueError as error:
            raise ImproperlyConfigured(str(error)) from error

    def _check(self) -> None:
        self.options()
        # not app.in_transaction: that is true within faust.Worker only
        guarantee = cast("ProcessingGuarantee", self.app.conf.processing_guarantee)
        if guarantee is ProcessingGuarantee.EXACTLY_ONCE:
            raise ImproperlyConfigured(
                "processing_guarantee='exactly_once' needs Kafka's transactions, which the embedded log has "
                "not: use 'at_least_once' and make repeated work harmless, or a kafka:// broker"
            )
