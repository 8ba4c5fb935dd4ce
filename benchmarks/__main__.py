"""``make bench``: measure and compare. ARGS="pipeline latency" picks some."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from benchmarks import encoding, kafka_changelog, kernels, latency, million, pipeline


def main() -> None:
    sections: dict[str, Callable[[float], str]] = {
        "pipeline": pipeline.run,
        "latency": latency.run,
        "million": million.run,
        "kernels": kernels.run,
        "encoding": encoding.run,
        "kafka_changelog": kafka_changelog.run,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", default=list(sections), help=", ".join(sections))
    parser.add_argument("--share", type=float, default=1.0, help="of the readings, for a quick look")
    arguments = parser.parse_args()
    for name in arguments.sections:
        if name not in sections:
            parser.error(f"expected {', '.join(sections)}, got {name}")
        print(f"\n## {name}\n", flush=True)
        print(sections[name](arguments.share), flush=True)


if __name__ == "__main__":
    main()
