"""Tests of Forestall: ``pytest`` from the repository's root runs them."""

import streams  # noqa: F401 – it settles where compiled detectors are kept
