"""Benchmarks: each module is run with ``python -m benchmarks.<name>``; ``make bench`` runs them all."""
