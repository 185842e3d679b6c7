"""Brings the data of chosen datasets onto this machine, so that evaluating needs no network.

Everything that cannot be brought is said at once, with the place it was looked for and how to bring
it by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ftbench.data.archives import BadArchive, unpack
from ftbench.data.download import (
    Archive,
    DownloadFailed,
    OnProgress,
    download,
    find_archive,
    md5_of,
    why_unreachable,
)
from ftbench.data.gather import elsewhere
from ftbench.data.hub import bring_snapshot
from ftbench.data.places import Missing, find_missing, is_here, place_of
from ftbench.errors import Problem
from ftbench.host import Host
from ftbench.preset import DataSource
from ftbench.printing import say

_WORK = ".ftbench"
"""Folder below ``data/`` for locks and unfinished files; hidden, so that it counts as no data."""


@dataclass(frozen=True)
class Fetched:
    """What became of one source of one dataset.

    Attributes:
        dataset: The user's name.
        place: Where it lies now, or should.
        num_bytes: What was downloaded for it; 0 when it was here, or came with another's.
        problem: Why it is not here, or None.
    """

    dataset: str
    source: DataSource
    place: Path
    num_bytes: int = 0
    problem: Problem | None = None


@dataclass(frozen=True)
class Access:
    """How data may be brought.

    Attributes:
        data_dir: Folder that contains ``data/``.
        downloads: The catalogue's archives.
        may_download: The configuration allows it.
    """

    host: Host
    data_dir: Path
    downloads: Mapping[str, tuple[str, str]]
    may_download: bool = True

    def archive(self, source: DataSource) -> Archive | None:
        """The archive that brings a source; None for the hub's and for those that none brings."""
        if source.is_on_hub:
            return None
        return find_archive(source.path, self.downloads, self.host.data_url)


def fetch(
    wanted: Iterable[tuple[str, DataSource]], access: Access, console: Console
) -> list[Fetched]:
    """Brings every source that is not here.

    Args:
        wanted: The user's dataset names with their sources.
        access: From where, and where to.
        console: Shows progress.

    Returns:
        One for each source of each dataset, in order.

    Side effects: fills the data folder and the hub cache. Interrupted, it leaves what has arrived;
        called again it goes on.
    """
    work = _Work(access, console)
    return [work.bring(name, source) for name, source in dict.fromkeys(wanted)]


def obstacles(missing: Sequence[Missing], access: Access) -> list[Problem]:
    """What would keep missing data from being brought, as far as no server must be asked."""
    return [
        _problem(item.dataset, item.source, item.place, why, access)
        for item in missing
        if (why := _why_never(item.source, access))
        and not elsewhere(item.source, access.data_dir, access.host)
    ]


def announced(missing: Sequence[Missing], access: Access) -> list[str]:
    """What would be downloaded, or linked from where it lies already, a line each."""
    lines = []
    for item in missing:
        if found := elsewhere(item.source, access.data_dir, access.host):
            lines.append(f"{item.dataset}: {found} would be used")
            continue
        archive = access.archive(item.source)
        origin = archive.url if archive else f"{access.host.hub_url}/datasets/{item.source.path}"
        if not _why_never(item.source, access):
            lines.append(f"{item.dataset}: {origin} would be downloaded to {item.place}")
    return lines


@dataclass
class _Work:
    """Remembers what failed already, so that nothing is asked for twice."""

    access: Access
    console: Console
    failed: dict[str, str] = field(default_factory=dict)

    def bring(self, dataset: str, source: DataSource) -> Fetched:
        access = self.access
        folders = access.data_dir, access.host.hub_dir
        place = place_of(source, *folders)
        if is_here(source, *folders):
            return Fetched(dataset, source, place)
        archive = access.archive(source)
        origin = archive.url if archive else source.path
        num_bytes, why = 0, _why_never(source, access) or self.failed.get(origin, "")
        if not why:
            try:
                self._reach(archive.server if archive else access.host.hub_url)
                num_bytes = (
                    self._bring_archive(source, archive) if archive else self._bring_hub(source)
                )
                if not is_here(source, *folders):
                    raise DownloadFailed(f"{origin} has no such file in it")
            except DownloadFailed as exc:
                why = self.failed[origin] = str(exc)
        problem = _problem(dataset, source, place, why, access) if why else None
        return Fetched(dataset, source, place, num_bytes, problem)

    def _reach(self, server: str) -> None:
        if server not in self.failed:
            self.failed[server] = why_unreachable(server)
        if self.failed[server]:
            raise DownloadFailed(f"{server} cannot be reached: {self.failed[server]}")

    def _bring_hub(self, source: DataSource) -> int:
        self._say(f"downloading {source.path} from {self.access.host.hub_url}")
        return bring_snapshot(source.path, self.access.host)

    def _bring_archive(self, source: DataSource, archive: Archive) -> int:
        data = self.access.data_dir / "data"
        work = data / _WORK
        try:
            work.mkdir(parents=True, exist_ok=True)
            with self._locked(work / f"{archive.name}.lock", archive.name):
                if is_here(source, self.access.data_dir, self.access.host.hub_dir):
                    return 0  # another process brought it meanwhile
                return self._bring_locked(archive, data, work)
        except BadArchive as exc:
            raise DownloadFailed(f"{archive.url}: {exc}") from exc
        except OSError as exc:
            raise DownloadFailed(f"{data} cannot be written: {exc.strerror or exc}") from exc

    def _bring_locked(self, archive: Archive, data: Path, work: Path) -> int:
        whole, brought, num_bytes = work / archive.name, data / archive.name, 0
        if self._is(brought, archive):
            whole = brought
        elif not self._is(whole, archive):
            with self._bar(archive.name) as on_progress:
                num_bytes = download(archive, work / f"{archive.name}.part", whole, on_progress)
        self._say(f"unpacking {archive.name}")
        unpack(whole, work / f"{archive.name}.unpacked", data)
        if whole != brought:  # the user's own file is the user's
            whole.unlink()
        return num_bytes

    def _is(self, path: Path, archive: Archive) -> bool:
        return path.is_file() and md5_of(path) == archive.md5

    @contextmanager
    def _locked(self, path: Path, name: str) -> Iterator[None]:
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._say(f"waiting for another download of {name}")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _bar(self, name: str) -> Iterator[OnProgress]:
        if not self.console.is_terminal:
            self._say(f"downloading {name}")
            yield lambda done, total: None
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(f"downloading {name}", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    def _say(self, text: str) -> None:
        say(self.console, text)


def _why_never(source: DataSource, access: Access) -> str:
    """Why a source cannot be downloaded whatever the servers say; empty when it may be."""
    if not source.is_on_hub and access.archive(source) is None:
        return "OpenCompass knows no download for it"
    if not access.may_download:
        return "download=false forbids a download"
    if source.is_on_hub and access.host.hub_offline:
        return "HF_HUB_OFFLINE forbids a download"
    return ""


def _problem(dataset: str, source: DataSource, place: Path, why: str, access: Access) -> Problem:
    cures = [_by_hand(source, place, access)]
    if source.is_on_hub and "terms" in why:
        cures = ["accept them there, then set HF_TOKEN", *cures]
    if why.startswith("download=false"):
        cures.append("leave download=false out")
    if why.startswith("HF_HUB_OFFLINE"):
        cures.append("unset HF_HUB_OFFLINE")
    if "cannot be reached" in why:
        cures.append(f"set {'HF_ENDPOINT' if source.is_on_hub else 'FTBENCH_DATA_URL'} to a mirror")
    return Problem(
        f"dataset {dataset}", f"its data is not at {place}, and {why}", ", or ".join(cures)
    )


def _by_hand(source: DataSource, place: Path, access: Access) -> str:
    if source.is_on_hub:
        return f"copy that folder from a machine that has downloaded {source.path}"
    archive = access.archive(source)
    if archive is None:
        bring = f"bring the files of {source.path} to {place} by hand"
    else:
        bring = f"put {archive.url} into {access.data_dir / 'data'} by hand, as it is or unpacked"
    return f"{bring}, or say where they are with data_dir=DIR (the folder that contains data/)"


def still_missing(fetched: Iterable[Fetched], access: Access) -> list[Missing]:
    """The sources that could not be brought."""
    wanted = [(item.dataset, item.source) for item in fetched if item.problem]
    return find_missing(wanted, access.data_dir, access.host.hub_dir)
