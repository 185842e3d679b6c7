"""Turns exceptions into reasons: a class of failure and its root-cause line."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator

from ftbench.schema import Reason

LOG = "logs/opencompass.log"
"""Relative to the run folder; see ``RunFiles.opencompass_log``."""

_DATA_ERRORS = (
    "FileNotFoundError",
    "NotADirectoryError",
    "URLError",
    "HTTPError",
    "ConnectionError",
    "ConnectTimeout",
    "MaxRetryError",
    "DatasetNotFoundError",
    "DataFilesNotFoundError",
    "LocalEntryNotFoundError",
    "OfflineModeIsEnabled",
    "GatedRepoError",
    "RepositoryNotFoundError",
)

_SECRETS = re.compile(r"\b(hf_|sk-)[A-Za-z0-9_-]{8,}")


class Refused(Exception):
    """A decision of ours not to go on, in words for the user.

    Args:
        kind: Class of failure, as ``schema.Reason.kind``.
        message: What is wrong and what to do.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def explain(exc: BaseException, kind: str) -> Reason:
    """Names the root cause of a failure that was caught.

    Args:
        exc: What was caught.
        kind: Class of failure when the exception does not show a more precise one.

    Side effects: prints the traceback to standard error, which is the log.
    """
    print(_SECRETS.sub(r"\1***", "".join(traceback.format_exception(exc))), file=sys.stderr)
    return reason_of(exc, kind)


def reason_of(exc: BaseException, kind: str) -> Reason:
    """As ``explain``, without printing."""
    chain = list(_chain(exc))
    refused = next((e for e in chain if isinstance(e, Refused)), None)
    if refused is not None:
        return Reason(refused.kind, str(refused), LOG)
    precise = next((k for e in chain if (k := _kind_of(e, kind))), kind)
    return Reason(precise, _line(chain[0]), LOG)


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """The exception and what it was raised from, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)


def _kind_of(exc: BaseException, stage: str) -> str:
    names = {cls.__name__ for cls in type(exc).__mro__}
    if "OutOfMemoryError" in names or isinstance(exc, MemoryError):
        return "out_of_memory"
    if "No available memory for the cache blocks" in str(exc):
        return "out_of_memory"
    # A preset that names what OpenCompass no longer has is a broken preset.
    if isinstance(exc, ImportError) and "opencompass" not in str(exc):
        return "missing_package"
    if stage == "data" and names.intersection(_DATA_ERRORS):
        return "data_missing"
    if isinstance(exc, KeyError) and "OC_JUDGE_" in str(exc):
        return "judge_missing"
    return ""


def _line(exc: BaseException) -> str:
    """Type and message on one line, without secrets and of bounded length."""
    text = " ".join(str(exc).split())
    line = f"{type(exc).__name__}: {text}" if text else type(exc).__name__
    if not text and exc.__traceback__ is not None:
        where = exc.__traceback__
        while where.tb_next is not None:
            where = where.tb_next
        line += f" in {where.tb_frame.f_code.co_name}, line {where.tb_lineno}"
    line = _SECRETS.sub(r"\1***", line)
    return line if len(line) <= 500 else line[:497] + "..."
