"""Names of the release before, which still work and say what they are called now."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from xcodec2.moved import REMOVED_IN

P = ParamSpec("P")
T = TypeVar("T")


def renamed_arguments(**names: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function take its keyword arguments by their old names, too, with a DeprecationWarning.

    Args:
        names: Old name → new name.

    Returns:
        A decorator.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            for old in names.keys() & kwargs.keys():
                new = names[old]
                if new in kwargs:
                    raise TypeError(f"{function.__name__}() got both {old!r} and {new!r}")
                warn_renamed(f"{function.__name__}({old}=)", f"{new}=", stacklevel=3)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate


def warn_renamed(old: str, new: str, *, stacklevel: int = 2) -> None:
    """Say that a name will be gone.

    Args:
        old: As it was used.
        new: What to write instead.
        stacklevel: Of the caller's caller, as `warnings.warn` counts.
    """
    message = f"{old} is now {new}; the old name goes in version {REMOVED_IN}"
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel + 1)
