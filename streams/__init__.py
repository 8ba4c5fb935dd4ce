"""The flow: values (nouns), and the agents that move them from MQTT to ticket (verbs)."""

import hashlib
import os
from pathlib import Path


def _kernel_cache() -> str:
    """Where compiled detectors are kept: a folder for each state of their sources.

    Numba looks at the file of a kernel alone. Kernels call each other over files, and take
    constants from them: after an update it would go on with pieces of the old version.
    """
    sources = Path(__file__).parents[1] / "detectors"
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(sources.glob("*.py")):
        digest.update(path.read_bytes())
    return str(sources / "__pycache__" / digest.hexdigest())


# Before Numba is imported, and not where somebody has chosen a place.
os.environ.setdefault("NUMBA_CACHE_DIR", _kernel_cache())
