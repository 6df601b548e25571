"""The Hugging Face Hub's client: files from it, and its errors as ours."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xcodec2.errors import CheckpointError

CARD = "README.md"
LICENSE_LINE = re.compile(  # of YAML: with or without quotes, a comment behind it
    r"""^license:[ \t]+(?P<quote>["']?)(?P<license>[^\s"'#]+)(?P=quote)[ \t]*(?:[ \t]\#.*)?$""",
    re.MULTILINE,
)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def errors_of(name: str, what: str = "download") -> Iterator[None]:
    """The Hub client's errors as CheckpointErrors that name the model, and what was done."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    failures = client_errors()
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


def client_errors() -> tuple[type[Exception], ...]:
    """What the Hub's client raises, or lets through of the library that it has its connections
    from: requests before 1.0, then httpx, then httpx2. Its own error derives from that library's.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    # RuntimeError: 1.3 uses a connection that it has closed
    return (*HfHubHTTPError.__bases__, HFValidationError, OSError, RuntimeError)


def fetch_file(repo: str, file: str, revision: str | None = None) -> Path | None:
    """A file of a repository, from the cache where it is current; None where there is none.

    A download that broke off goes on where it ended. A cache that cannot be written is read.

    Raises:
        CheckpointError: There is no connection, and the file is not in the cache.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if is_known_to_lack(repo, file, revision) and not is_there(repo, file, revision):
        return None
    try:
        return Path(hf_hub_download(repo, file, revision=revision))
    except LocalEntryNotFoundError as problem:  # also an EntryNotFoundError: no connection
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


def fetch_card(repo: str, revision: str | None = None) -> Path | None:
    """The model card; None where there is none, or no connection and none in the cache: a model can
    be used without.
    """
    if cached_file(repo, CARD, revision) or is_there(repo, CARD, revision):
        return fetch_file(repo, CARD, revision)
    return None


def is_there(repo: str, file: str, revision: str | None = None) -> bool:
    """Whether the Hub says that it has the file. It is asked once: for a file that is not in the
    cache, `hf_hub_download` tries to connect for half a minute.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        get_hf_file_metadata(hf_hub_url(repo, file, revision=revision))
    except client_errors():  # "not found" is one of them
        return False
    return True


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
    text = card.read_text(encoding="utf-8-sig", errors="replace")
    header = re.match(r"---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", text, re.DOTALL)
    named = LICENSE_LINE.search(header[1]) if header else None
    return named["license"] if named else None
