"""InfluxDB 2, from the program that ``scripts/services/influxdb.sh`` builds, or an influxd on PATH."""

from __future__ import annotations

import csv
import io
import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tests.services.process import LOOPBACK, Service, find_program

REPOSITORY = Path(__file__).resolve().parents[2]


def program() -> str | None:
    """The path of influxd; None where there is none."""
    built = Path(os.environ.get("FORESTALL_SERVICES", REPOSITORY / ".services")) / "influxdb"
    newest = max(
        built.glob("*/influxd"), key=lambda p: [int(n) for n in p.parent.name.split(".")], default=None
    )
    return str(newest) if newest else find_program("influxd")


class Influx(Service):
    """A server with an organisation, a bucket without end and a token that may do everything."""

    name = "influxdb"
    optional: ClassVar[bool] = True
    org = "forestall"
    bucket = "history"
    token = "a-token-for-tests"

    @staticmethod
    def missing() -> str | None:
        if program() is None:
            return "InfluxDB 2 is not here; `sh scripts/services/influxdb.sh` builds it (needs Go and Rust)"
        return None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def command(self) -> Sequence[str]:
        influxd = program()
        if influxd is None:
            raise RuntimeError(self.missing())
        return (
            influxd,
            f"--bolt-path={self.dir}/influxd.bolt",
            f"--sqlite-path={self.dir}/influxd.sqlite",
            f"--engine-path={self.dir}/engine",
            f"--http-bind-address={LOOPBACK}:{self.port}",
            "--reporting-disabled",
            "--log-level=warn",
        )

    def environment(self) -> dict[str, str]:
        # it would read a configuration file from the working directory's and the user's places
        return {"INFLUXD_CONFIG_PATH": str(self.dir)}

    def ready(self) -> bool:
        try:
            ready: bool = json.loads(self._call("GET", "/health"))["status"] == "pass"
            if ready and not self._set_up:
                self.setup()
                self._set_up = True
            return ready
        except (OSError, ValueError):
            return False

    _set_up = False

    def setup(self) -> None:
        """Make user, organisation, bucket and token."""
        body = {
            "username": "tests",
            "password": "of-no-use-outside-this-test",
            "org": self.org,
            "bucket": self.bucket,
            "token": self.token,
            "retentionPeriodSeconds": 0,
        }
        self._call("POST", "/api/v2/setup", body)

    def new_bucket(self, name: str, keep_s: int = 0) -> str:
        """Make a bucket that keeps points for so many seconds (0: for ever) and return its name."""
        orgs = json.loads(self._call("GET", "/api/v2/orgs"))["orgs"]
        org_id = next(org["id"] for org in orgs if org["name"] == self.org)
        rules = [{"type": "expire", "everySeconds": keep_s}] if keep_s else []
        self._call("POST", "/api/v2/buckets", {"name": name, "orgID": org_id, "retentionRules": rules})
        return name

    def new_token(self, bucket: str) -> str:
        """Make a token that may write one bucket and do nothing else."""
        found = json.loads(self._call("GET", f"/api/v2/buckets?name={bucket}"))["buckets"][0]
        may = {"action": "write", "resource": {"type": "buckets", "id": found["id"], "orgID": found["orgID"]}}
        made = json.loads(
            self._call("POST", "/api/v2/authorizations", {"orgID": found["orgID"], "permissions": [may]})
        )
        token: str = made["token"]
        return token

    def query(self, flux: str) -> list[dict[str, str]]:
        """The rows of a Flux query, as text by column."""
        body = {"query": flux, "dialect": {"header": True, "annotations": []}}
        answer = self._call("POST", f"/api/v2/query?org={self.org}", body)
        rows: list[dict[str, str]] = []
        # one table after another, an empty line and a header of its own before each
        for table in answer.decode().replace("\r\n", "\n").strip("\n").split("\n\n"):
            rows += csv.DictReader(io.StringIO(table))
        return rows

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        request = urllib.request.Request(
            self.url + path,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Token {self.token}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                data: bytes = answer.read()
                return data
        except urllib.error.HTTPError as error:
            raise ValueError(
                f"{method} {path}: {error.code} {error.read().decode(errors='replace')}"
            ) from error
