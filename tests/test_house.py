"""What the repository promises of itself: locks, laws, sizes, verbs."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("connectors", "detectors", "streams")
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-peers.txt")
VERBS = ("setup", "demo", "test", "check", "bench", "soak", "services", "help")

MAX_LINES = 400
MAX_ARGUMENTS = 6


def committed() -> list[Path]:
    """The files that git knows; without git, all that are not caches."""
    if shutil.which("git") and (ROOT / ".git").exists():
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
        names = done.stdout.decode().split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    return [p for p in ROOT.rglob("*") if p.is_file() and not is_cache(p)]


def is_cache(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts[:-1]
    return any(p == "__pycache__" or (p.startswith(".") and p != ".ci") for p in parts)


def modules(*packages: str) -> Iterator[Path]:
    for package in packages:
        yield from sorted((ROOT / package).rglob("*.py"))


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def locked(name: str) -> dict[str, list[str]]:
    """Requirement lines of a lock → the options that follow each."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / name).read_text().replace("\\\n", " ").splitlines():
        if line and not line.startswith("#"):
            requirement, *options = re.split(r"\s+(?=--)", line.strip())
            found[requirement] = options
    return found


# --- locks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_requirement_is_pinned_and_has_hashes(lock: str) -> None:
    for line, options in locked(lock).items():
        assert [s.operator for s in Requirement(line).specifier] == ["=="], line
        assert options, line
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", o) for o in options), line


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address_and_no_path(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(
        r"--(extra-)?index-url|--find-links|--trusted-host|(^| )-[fi] |(^|\s)/\w", text, re.MULTILINE
    )


def test_what_is_tested_is_what_runs() -> None:
    assert locked("requirements.txt").items() <= locked("requirements-dev.txt").items()
    assert locked("requirements-dev.txt").items() <= locked("requirements-peers.txt").items()


@pytest.mark.parametrize("lock", LOCKS)
def test_the_locks_hold_what_the_project_asks_for(lock: str) -> None:
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["build"]]
    if lock != "requirements.txt":
        wanted += PROJECT["optional-dependencies"]["dev"] + PROJECT["optional-dependencies"]["bench"]
    if lock == "requirements-peers.txt":
        wanted += PROJECT["optional-dependencies"]["peers"]
    pins: dict[str, list[str]] = {}
    for line in locked(lock):
        pin = Requirement(line)
        pins.setdefault(canonicalize_name(pin.name), []).extend(s.version for s in pin.specifier)
    for text in wanted:
        asked = Requirement(text)
        versions = pins.get(canonicalize_name(asked.name), [])
        assert versions, f"{text} is not in {lock}: run make lock"
        assert all(asked.specifier.contains(v) for v in versions), (
            f"{text}: {lock} has {versions}; run make lock"
        )


# --- what is committed -----------------------------------------------------------------------

# written in pieces, or this file would find itself
REGISTRIES = "|".join(
    ("py" + "pi", "python" + "hosted", "npm" + "js", "crates", "maven", "debian", "proxy.golang")
)
MACHINE = "work|farm|root|home|Users"
FORBIDDEN = {
    "the address of a package registry": re.compile(
        rf"://[^/\s]*({REGISTRIES})|({REGISTRIES})\.(org|com|io)\b"
    ),
    "a path of one machine": re.compile(rf"(?<![\w./$}}-])/(?:{MACHINE})/|(?<![\w.])/tmp/(?:proto|spec)"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    found = []
    for path in committed():
        raw = path.read_bytes()
        if b"\0" in raw:
            continue  # data
        for number, line in enumerate(raw.decode(errors="replace").splitlines(), 1):
            if FORBIDDEN[what].search(line):
                found.append(f"{shown(path)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


def test_no_secret_and_no_build_product_is_committed() -> None:
    bad = re.compile(r"(^|/)(\.env|__pycache__|\.venv|\.services)(/|$)|\.(pyc|key|p12|db|db-wal|log)$")
    assert [shown(p) for p in committed() if bad.search(shown(p))] == []


# --- Python ----------------------------------------------------------------------------------


def test_every_package_says_what_it_is() -> None:
    silent = [
        shown(path)
        for path in modules(*PACKAGES, "tests", "benchmarks")
        if path.name == "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_of_modules_is_a_package(package: str) -> None:
    assert [shown(p.parent) for p in modules(package) if not (p.parent / "__init__.py").exists()] == []


def test_no_module_is_too_long() -> None:
    sizes = {
        shown(path): len(path.read_text().splitlines())
        for path in modules(*PACKAGES, "tests", "benchmarks", "scripts")
    }
    # A suite of cases may be longer than what it tests.
    limits = {name: MAX_LINES + 150 * name.startswith("tests/") for name in sizes}
    assert {name: lines for name, lines in sizes.items() if lines > limits[name]} == {}


def test_no_constructor_asks_for_too_much() -> None:
    greedy = {}
    for path in modules(*PACKAGES):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs][1:]
                if len(arguments) > MAX_ARGUMENTS:
                    greedy[f"{shown(path)}:{node.lineno}"] = len(arguments)
    assert greedy == {}


def imported(path: Path) -> Iterator[str]:
    """Top-level names that a module imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


def test_detectors_are_arithmetic() -> None:
    """The import contract forbids by name; this one allows by name."""
    allowed = {"numpy", "numba", "scipy", "detectors"} | {
        *(
            "__future__",
            "abc",
            "bisect",
            "collections",
            "contextlib",
            "copy",
            "dataclasses",
            "enum",
            "functools",
        ),
        *(
            "hashlib",
            "inspect",
            "itertools",
            "math",
            "numbers",
            "operator",
            "struct",
            "types",
            "typing",
            "warnings",
        ),
    }
    strange = {shown(p): set(imported(p)) - allowed for p in modules("detectors")}
    assert {name: names for name, names in strange.items() if names} == {}


def test_tests_use_no_mocks() -> None:
    mocking = re.compile(r"\b(unittest\.mock|MagicMock|AsyncMock|mocker\b|create_autospec)")
    users = [shown(p) for p in modules("tests") if p != Path(__file__) and mocking.search(p.read_text())]
    assert users == []


# --- verbs and versions ----------------------------------------------------------------------


def test_make_help_tells_every_verb() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    done = subprocess.run(
        ["make", "-s", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    told = re.findall(r"^  (\w+) +\S", done.stdout, re.MULTILINE)
    assert set(VERBS) <= set(told)
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(targets)


def test_scripts_parse() -> None:
    for path in (ROOT / ".ci/run", *sorted((ROOT / "scripts").rglob("*.sh"))):
        shell = "bash" if "bash" in path.read_text().partition("\n")[0] else "sh"
        if shutil.which(shell) is None:
            pytest.skip(f"{shell} is not installed")
        done = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_changelog_begins_with_this_version() -> None:
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == PROJECT["version"] == importlib.metadata.version("forestall")


def test_the_entry_points_are_installed() -> None:
    transports = importlib.metadata.entry_points(group="faust.transports")
    assert transports["sqlite"].value == "connectors.sqlite_transport:Transport"
    scripts = importlib.metadata.entry_points(group="console_scripts")
    assert scripts["forestall"].value == "streams.cli:main"
