"""The Hugging Face Hub's client: files from it, and its errors as ours."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xcodec2.errors import CheckpointError

CARD = "README.md"
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def errors_of(name: str, what: str = "download") -> Iterator[None]:
    """The Hub client's errors as CheckpointErrors that name the model, and what was done."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    failures: tuple[type[Exception], ...] = (HfHubHTTPError, HFValidationError, OSError)
    failures += connection_errors()
    try:
        yield
    except RepositoryNotFoundError as problem:
        raise CheckpointError(
            f"{name}: no such folder here and no such model on the Hub, or it needs a login"
        ) from problem
    except RevisionNotFoundError as problem:
        raise CheckpointError(
            f"{name}: the model has no such revision; give a branch, a tag or a commit"
        ) from problem
    except failures as problem:
        reason = (str(problem).splitlines() or [type(problem).__name__])[0]
        raise CheckpointError(f"{name}: the {what} failed ({reason})") from problem


def connection_errors() -> tuple[type[Exception], ...]:
    """What the Hub's client may let through of the library that it has its connections from."""
    try:
        import httpx
    except ImportError:  # before huggingface_hub 1.0: requests, whose errors are OSErrors
        return ()
    return (httpx.HTTPError, RuntimeError)  # 1.3 uses a connection that it has closed


def fetch_file(repo: str, file: str, revision: str | None = None) -> Path | None:
    """A file of a repository, from the cache where it is current; None where there is none.

    A download that broke off goes on where it ended. A cache that cannot be written is read.

    Raises:
        CheckpointError: There is no connection, and the file is not in the cache.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repo, file, revision=revision))
    except LocalEntryNotFoundError as problem:  # also an EntryNotFoundError: no connection
        if is_known_to_lack(repo, file, revision):
            return None
        raise CheckpointError(
            f"{repo}: the Hub cannot be reached and {file} is not in the local cache; "
            "download the model where there is a connection and give its folder"
        ) from problem
    except EntryNotFoundError:
        return None
    except OSError as problem:
        found = cached_file(repo, file, revision)
        if problem.errno not in READ_ONLY or found is None:
            raise
        return found


def cached_file(repo: str, file: str, revision: str | None = None) -> Path | None:
    """The file in the local cache, current or not."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


def is_known_to_lack(repo: str, file: str, revision: str | None) -> bool:
    """Whether the cache remembers that the repository has no such file.

    The client writes that down and does not look at it when it has no connection.
    """
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, file, revision=revision)
    return found is not None and not isinstance(found, str)


def license_in(card: Path | None) -> str | None:
    """What the header of a model card says; None where there is none."""
    if card is None or not card.is_file():
        return None
    text = card.read_text(encoding="utf-8", errors="replace")
    header = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    named = re.search(r"^license:\s*(\S+)\s*$", header[1], re.MULTILINE) if header else None
    return named[1] if named else None
