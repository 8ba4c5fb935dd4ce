"""The page of all settings is the settings."""

from __future__ import annotations

from pathlib import Path

from streams.programs.explain_config import keys

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"


def test_every_key_stands_in_the_page_with_its_default() -> None:
    page = PAGE.read_text(encoding="utf-8").splitlines()
    for name, _, default, _ in keys():
        rows = [line for line in page if line.startswith(f"| `{name}` |")]
        assert len(rows) == 1, f"expected one row for {name} in {PAGE.name}, got {len(rows)}"
        if default:
            assert f"| {default} |" in rows[0], f"{name}: expected the default {default} in {rows[0]}"
