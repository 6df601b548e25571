"""What can be said and exported without an import: PyTorch and the like take seconds."""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    import torch
    from typing_extensions import TypeIs  # in typing since Python 3.13


def exports(
    package: str, homes: Mapping[str, str], names: Sequence[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__`.

    Args:
        package: Its name.
        homes: The module that each name is imported from when it is first asked for.
        names: Its `__all__`.

    Returns:
        Both functions. The first raises AttributeError for any other name.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return get, lambda: sorted(names)


def is_tensor(value: object) -> TypeIs[torch.Tensor]:
    """Whether it is a tensor of PyTorch's, which is not imported to find out: where nobody has,
    there are none.
    """
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)
