"""Tests of Forestall: ``pytest`` from the repository's root runs them."""
