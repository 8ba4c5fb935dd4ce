"""What can be asked and done by the API beside reading tickets: a maker of routes for each topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.store import Store
from streams.clock import Clock
from streams.programs import policies
from streams.programs.complaints import make_reception, metrics
from streams.programs.people import PeopleDesk
from streams.programs.reports import ReportDesk
from streams.programs.verdict_metrics import VerdictFigures
from streams.programs.verdicts import VerdictDesk
from streams.settings import Settings
from streams.trade.staff import Staff

if TYPE_CHECKING:
    from connectors.web.app import Routes
    from connectors.web.metrics import Families


def routes(settings: Settings, store: Store, clock: Clock, told: list[Families]) -> list[Routes]:
    """The makers of routes, in the order in which requests meet them.

    told : gets the metrics that the topics add
    """
    from connectors.web import actions, bill_run, complaints, money, people, reports, tmf621
    from connectors.web import verdicts as judging
    from streams.programs.money import money_desk

    people_desk = PeopleDesk(settings, store, clock)
    desk = VerdictDesk(settings, store, clock)
    reporting = ReportDesk(settings, store, clock)
    told.append(VerdictFigures(store, desk))
    money_work = money_desk(settings, store, clock)
    reception = make_reception(settings, store, clock)
    told.append(lambda: metrics(reception.tally))
    return [
        tmf621.routes(store),
        lambda reader: complaints.routes(reader, reception),
        lambda reader: judging.router(reader, desk),
        lambda reader: reports.router(reader, reporting),
        money.router(money_work),
        bill_run.router(money_work),
        actions.router(Staff(store, policies.rules(settings), clock)),
        lambda reader: people.router(reader, people_desk),
    ]
