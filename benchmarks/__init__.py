"""Benchmarks: each module is run with ``python -m benchmarks.<name>``; ``make bench`` runs them all."""

import streams  # noqa: F401 – it settles where compiled detectors are kept
