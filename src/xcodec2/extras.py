"""Optional libraries: imported by name, or asked for with a command that installs them."""

from __future__ import annotations

import importlib
import inspect
import os
import shlex
from pathlib import Path
from typing import Any

from xcodec2.errors import MissingExtraError

#: Where a package's name on an index is not the name that Python imports.
DISTRIBUTIONS = {
    "hibari": "hibari-tts",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
    "python_stretch": "python-stretch",
}
#: What an extra needs beside it, and does not ask for itself: this wheel is built for one PyTorch.
BESIDE = {"executorch": "torch==2.13.0 "}


def require(*modules: str, extra: str, purpose: str = "this") -> Any:
    """Import optional libraries before any work is done with them.

    Args:
        modules: Names as Python imports them, such as ``"pystoi"`` or ``"pyarrow.parquet"``.
        extra: The extra of this package that brings them, such as ``"evaluate"``.
        purpose: What needs them, as the first word of the error: ``"STOI"``.

    Returns:
        The first of the modules.

    Raises:
        MissingExtraError: One of them cannot be imported; the message has the command to run.
    """
    # It would write an id of this device at its import, and tell its maker what is run.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    imported, missing, reasons = [], [], []
    for module in modules:
        try:
            imported.append(importlib.import_module(module))
        except ImportError as problem:
            missing.append(module.partition(".")[0])
            if not _is_absent(module, problem):
                reasons.append(" ".join(str(problem).split()))
    if missing:
        names = ", ".join(dict.fromkeys(missing))
        because = f" ({'; '.join(reasons)})" if reasons else ""
        raise MissingExtraError(
            f"{purpose} needs {names}{because}: run `{install_command(missing, extra)}`"
        )
    return imported[0]


def install_command(modules: list[str], extra: str, package: Path | None = None) -> str:
    """What to type so that the modules are there: no package index is taken to have this package.

    Args:
        modules: Names of top-level modules.
        extra: The extra that brings them.
        package: The folder of this package; for tests.

    Returns:
        In a clone, the command that installs the clone with its extra; else the one that installs
        the libraries themselves.
    """
    clone = (package or Path(__file__).parent).parents[1]
    if (clone / "pyproject.toml").is_file() and (clone / "src" / "xcodec2").is_dir():
        return f"pip install {BESIDE.get(extra, '')}-e {shlex.quote(f'{clone}[{extra}]')}"
    distributions = [DISTRIBUTIONS.get(module, module) for module in dict.fromkeys(modules)]
    return f"pip install {BESIDE.get(extra, '')}{' '.join(distributions)}"


def cache_name(model: Any) -> str:
    """What a causal LM of transformers calls its cache, as an argument and in its output: `cache`
    from 5.24 on, where the old name is known until 5.40.
    """
    known = inspect.signature(type(model).forward).parameters
    return "cache" if "cache" in known else "past_key_values"


def _is_absent(module: str, problem: ImportError) -> bool:
    """Whether the library is not there, rather than there and broken."""
    top = module.partition(".")[0]
    return isinstance(problem, ModuleNotFoundError) and (problem.name or top).startswith(top)
