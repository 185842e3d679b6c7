"""A data server, and a machine that downloads from it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ftbench.data import Access, Fetched, fetch
from ftbench.preset import DataSource
from tests.data.server import DataServer, data_server
from tests.surroundings import make_host


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[DataServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with data_server() as running:
        yield running


@dataclass
class Machine:
    """A machine on which nothing is yet.

    Attributes:
        downloads: The catalogue's archives.
        out: What was printed.
        data_folder: Where downloads go; None for ``compass``.
    """

    root: Path
    server: DataServer
    downloads: dict[str, tuple[str, str]] = field(default_factory=dict)
    out: io.StringIO = field(default_factory=io.StringIO)
    data_folder: Path | None = None

    @property
    def data(self) -> Path:
        return self.root / "compass" / "data"

    @property
    def hub(self) -> Path:
        return self.root / "hub"

    @property
    def printed(self) -> list[str]:
        return self.out.getvalue().splitlines()

    def serve(self, key: str, name: str, entries: dict[str, str | bytes]) -> None:
        """Puts an archive on the server and into the catalogue."""
        md5 = self.server.add_archive(name, entries)
        self.downloads[key] = (f"http://far.away/datasets/data/{name}", md5)

    def access(self, may_download: bool = True, **host: Any) -> Access:
        urls = {"data_url": self.server.url, "hub_url": self.server.url}
        return Access(
            make_host(self.root, **(urls | host)),
            self.data_folder or self.data.parent,
            self.downloads,
            may_download,
        )

    def fetch(self, *sources: DataSource, **access: Any) -> list[Fetched]:
        """Fetches sources for datasets that are named after the end of their paths."""
        wanted = [(source.path.rpartition("/")[2], source) for source in sources]
        return fetch(wanted, self.access(**access), Console(file=self.out, width=500))

    def left(self) -> list[str]:
        """Every file below the data folder but locks."""
        files = (p.relative_to(self.data) for p in self.data.rglob("*") if p.is_file())
        return sorted(str(path) for path in files if path.suffix != ".lock")


@pytest.fixture
def machine(server: DataServer, weird_tmp_path: Path) -> Machine:
    return Machine(weird_tmp_path, server)
