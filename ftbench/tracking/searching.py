"""Searches a tracker for runs: one request brings their names, tags and params, no scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ftbench.errors import Problem, ReadingError, TrackingError
from ftbench.tracking.asking import asking
from ftbench.tracking.environment import redact
from ftbench.tracking.names import sqlite_path
from ftbench.tracking.store import open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MAX_RUNS = 500
"""Benchmark runs that a search brings, the newest."""


@dataclass(frozen=True)
class Found:
    """A run as a search brings it.

    Attributes:
        started_ms: Milliseconds since the epoch.
        kind: ``eval``, ``sweep``, ``train`` or empty, from the tag ``ftbench.kind``.
    """

    run_id: str
    experiment_id: str
    name: str
    kind: str
    status: str
    started_ms: int
    artifact_uri: str
    tags: Mapping[str, str] = field(repr=False)
    params: Mapping[str, str] = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """What decides whether two runs are one evaluation, done twice; the run's id if unknown."""
        return self.tags.get("ftbench.fingerprint") or self.run_id


@dataclass(frozen=True)
class Tracker:
    """An open tracker, as far as reading needs it.

    Attributes:
        uri: Without credentials.
        experiments: Names of the active experiments by id.
    """

    uri: str
    client: MlflowClient
    experiments: Mapping[str, str]

    def search(
        self, where: str, experiment_ids: Sequence[str] = (), limit: int = MAX_RUNS
    ) -> list[Found]:
        """Runs that MLflow's filter finds, the newest first; without ids in all experiments.

        Raises:
            ReadingError: The tracker cannot be asked.
        """
        ids = list(experiment_ids) or list(self.experiments)
        if not ids:
            return []
        with reading(self.uri, f"searching {redact(self.uri)}"):
            runs = self.client.search_runs(
                ids, where, order_by=["attributes.start_time DESC"], max_results=limit
            )
            return [_found(run) for run in runs]


@contextmanager
def reading(uri: str, tried: str) -> Iterator[None]:
    """Turns what MLflow and the file system raise into a ReadingError."""
    try:
        with asking(uri, tried):
            yield
    except ReadingError:
        raise
    except TrackingError as exc:
        (problem,) = exc.problems
        # The cures speak of recording, where a key of the configuration names the tracker.
        cure = problem.cure.replace("tracking.uri=", "--tracking-uri ")
        cure = cure.partition("; tracking=none")[0]
        raise ReadingError(Problem(problem.tried, problem.happened, cure)) from exc


def open_tracker(uri: str) -> Tracker:
    """Connects to a tracker that is there.

    Args:
        uri: Tracking URI without credentials, a sqlite path absolute.

    Raises:
        ReadingError: It cannot be asked, or there is no such database; none is made.
    """
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        happened = f"there is no database {path}"
        cure = "--tracking-uri URI of the tracker that holds the runs, or name run folders"
        raise ReadingError(Problem(f"opening {uri}", happened, cure))
    with reading(uri, f"opening {redact(uri)}"):
        client = open_store(uri)
        experiments: dict[str, str] = {}
        token: str | None = None
        while True:
            page = client.search_experiments(max_results=1000, page_token=token)
            experiments |= {str(e.experiment_id): e.name for e in page}
            token = page.token
            if not token:
                return Tracker(uri, client, experiments)


def _found(run: Run) -> Found:
    tags = dict(run.data.tags)
    return Found(
        run_id=run.info.run_id,
        experiment_id=str(run.info.experiment_id),
        name=run.info.run_name or run.info.run_id,
        kind=tags.get("ftbench.kind", ""),
        status=run.info.status,
        started_ms=run.info.start_time or 0,
        artifact_uri=run.info.artifact_uri or "",
        tags=tags,
        params=dict(run.data.params),
    )
