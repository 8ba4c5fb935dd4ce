"""The web application: API, pages, metrics, behind one guard.

app = make_app(sources, WebConfig(token="…"))
await serve(app, "127.0.0.1", 8080, stop, ready)
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from connectors.web import api, documents, figures, hooks, listing, login
from connectors.web.feed import PATIENCE_S, Feed
from connectors.web.guard import Access, Guard, User
from connectors.web.metrics import Exposition, Families, Metric
from connectors.web.probe import health, ready_response
from connectors.web.problems import Problem, of_port
from connectors.web.server import PortTaken, serve
from connectors.web.sources import Reader, Sources, Vocabulary
from streams.ports import PortError
from streams.trade.book import Refused

__all__ = ["PortTaken", "Routes", "Sources", "User", "Vocabulary", "WebConfig", "make_app", "serve"]

#: makes the routes of one topic
Routes = Callable[[Reader], APIRouter]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the operator decides.

    token     : the administrator's, asked for everywhere but at /health and /ready
    users     : others with tokens of their own; without any token this machine alone is served
    language  : ``zh`` or ``en``, until somebody chooses the other
    version   : of the program, shown
    refresh_s : how often the pages look for what is new
    """

    token: str = ""
    language: str = "en"
    version: str = ""
    refresh_s: float = 1.0
    users: tuple[User, ...] = ()

    @property
    def guarded(self) -> bool:
        """Whether a token is asked for."""
        return bool(self.token or self.users)

    def __post_init__(self) -> None:
        if self.language not in ("zh", "en") or not self.refresh_s > 0:
            raise ValueError(
                f"expected language zh or en and refresh_s > 0, got {self.language!r} and {self.refresh_s}"
            )


def make_app(
    sources: Sources,
    config: WebConfig,
    families: Families = tuple,
    *,
    pages: bool = True,
    routers: Sequence[Routes] = (),
) -> Guard:
    """The application, for ``serve``.

    families : metrics beside those of store and processes
    routers  : makers of further routes below ``/api``, by topic
    pages    : False: the API alone. NiceGUI keeps its state in globals, so a process can have
               one application with pages, and as many without as it likes.
    """
    reader = Reader(sources)
    feed = Feed(reader, every_s=config.refresh_s)
    access = Access(config.token, users=config.users)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        reader.close()

    app = FastAPI(
        title="Forestall",
        version=config.version or "0",
        summary="Readings, flags and tickets of a utility's meters, to be read.",
        openapi_url="/api/openapi.json",
        # their pages load scripts from elsewhere: the machine may have no way there
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    bearer = (
        [Security(HTTPBearer(auto_error=False, description="a configured token"))] if access.needed else []
    )
    if sources.papers is not None:
        app.include_router(documents.router(reader, sources.papers), dependencies=bearer)
    app.include_router(listing.routes(reader), dependencies=bearer)
    for routes in routers:
        app.include_router(routes(reader), dependencies=bearer)
    # the last: it answers whatever below /api is nobody's
    app.include_router(api.router(reader, feed, config.version), dependencies=bearer)
    inbox = sources.inbox
    if inbox is not None:
        app.include_router(hooks.router(reader, inbox))
        families = _beside(families, inbox.metrics)
    app.include_router(login.router(access, config.language))
    _operations(app, feed, families)
    _errors(app)
    guarded = Guard(app, access, login=True)
    if pages:
        from connectors.web.pages import attach

        attach(app, guarded, reader, feed, config)
    return guarded


def _beside(one: Families, other: Families) -> Families:
    """The metrics of both."""
    return lambda: [*one(), *other()]


def _operations(app: FastAPI, feed: Feed, families: Families) -> None:
    """``/metrics``, ``/health``, ``/ready``."""

    @app.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        found = await feed.snapshot(PATIENCE_S)
        counts = None if found.store_error else found.counts
        own = figures.metrics(counts, found.processes, found.at_ns)

        def every() -> list[Metric]:
            return [*own, *families()]

        body, content_type = Exposition(every).render(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    app.add_api_route("/health", health, summary="Whether the process runs", response_class=Response)

    @app.get("/ready", summary="Whether the ticket database answers", response_class=Response)
    async def ready() -> Response:
        found = await feed.snapshot(PATIENCE_S)
        # open to everybody: where the database is, is for those who may see the rest
        known = found.store_ns is not None
        reason = "does not answer" if known else "is not there yet: it has not answered since the start"
        return ready_response(not found.store_error, f"the ticket database {reason}")


def _errors(app: FastAPI) -> None:
    """Every error in the same shape."""

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return error.response(request.url.path)

    @app.exception_handler(PortError)
    async def away(request: Request, error: PortError) -> Response:
        log.warning("%s: %s", request.url.path, error)
        return of_port(error).response(request.url.path)

    @app.exception_handler(Refused)
    async def declined(request: Request, error: Refused) -> Response:
        expected, _, got = str(error).removeprefix("expected ").partition(", got ")
        return Problem(409, expected=expected, got=got, action="look at it again, then decide").response(
            request.url.path
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        fault = error.errors()[0]
        name = ".".join(str(part) for part in fault["loc"][1:]) or "the request"
        return Problem(
            422,
            expected=f"{name}: {fault['msg'][:1].lower()}{fault['msg'][1:]}",
            got=repr(fault.get("input"))[:200],
            action="mend the parameter; GET /api/openapi.json describes it",
        ).response(request.url.path)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return Problem(
            error.status_code,
            expected="a route of this server and a method that it takes",
            got=f"{request.method} {request.url.path[:200]}",
            action="GET /api/openapi.json lists them",
            headers=error.headers,
        ).response(request.url.path)
