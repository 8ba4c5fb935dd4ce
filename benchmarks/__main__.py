"""``make bench``: measure and compare. ARGS="pipeline latency" picks some.

``detection`` takes --sets, --no-peers, --data and --out; the page that it makes stands in docs/.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import (
    detection,
    encoding,
    kafka_changelog,
    kernels,
    latency,
    million,
    pipeline,
    replay,
    tickets,
)
from benchmarks.sets import SETS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", help="those to run; all unless named")
    parser.add_argument("--share", type=float, default=1.0, help="of the readings, for a quick look")
    parser.add_argument("--sets", default=",".join(SETS), help="detection: which, separated by commas")
    parser.add_argument("--no-peers", action="store_true", help="detection: without PyOD and river")
    parser.add_argument("--data", type=Path, default=detection.DATA, help="detection: where the sets are")
    parser.add_argument("--out", type=Path, help="detection: write the page there, whatever was measured")
    arguments = parser.parse_args()
    names = tuple(arguments.sets.split(","))
    if strange := [name for name in names if name not in SETS]:
        parser.error(f"expected sets of {', '.join(SETS)}, got {', '.join(strange)}")
    options = detection.Options(names, not arguments.no_peers, arguments.data, arguments.out)
    sections: dict[str, Callable[[float], str]] = {
        "pipeline": pipeline.run,
        "latency": latency.run,
        "million": million.run,
        "tickets": tickets.run,
        "replay": partial(replay.run, data=arguments.data),
        "kernels": kernels.run,
        "encoding": encoding.run,
        "kafka_changelog": kafka_changelog.run,
        "detection": partial(detection.run, options=options),
    }
    chosen = arguments.sections or list(sections)
    if strange := [name for name in chosen if name not in sections]:
        parser.error(f"expected {', '.join(sections)}, got {', '.join(strange)}")
    for name in chosen:
        print(f"\n## {name}\n", flush=True)
        print(sections[name](arguments.share), flush=True)


if __name__ == "__main__":
    main()
