"""The finished training runs of an MLflow experiment, each with the adapter that it wrote."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ftbench import tracking
from ftbench.checkpoint import holds_adapter
from ftbench.compose import override
from ftbench.errors import ConfigError, LaunchError, TrackingError
from ftbench.tracking import TrainedRun
from ftbench.watch.candidates import Candidate, Scan
from ftbench.watch.folder import content_key
from ftbench.watch.readiness import Readiness, State

_SHARE = 0.1
"""Of its time a watcher asks the tracker at most: a large experiment takes many requests."""

_QUICK_S = 0.5
"""What takes less is no burden."""


class ExperimentSource:
    """Looks for finished runs in an experiment.

    Args:
        uri: Tracking URI without credentials.
        experiment: Its name or id.
        where: MLflow's filter; empty: all.
        since: Only runs that ended since then, in seconds since the epoch; 0: all.
        readiness: Says whether a folder is complete: a trainer may end its run before it saves.
        cache: JSON file that remembers hashes of unchanged files.
        may_be_away: A tracker that does not answer is asked again at the next look.
        say: Takes a line for the user.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        where: str,
        since: float,
        readiness: Readiness,
        cache: Path,
        may_be_away: bool,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uri = uri
        self._experiment = experiment
        self._where = where
        self._since = since
        self._readiness = readiness
        self._cache = cache
        self._may_be_away = may_be_away
        self._say = say
        self._clock = clock
        self._last: Scan | None = None
        self._next_at = 0.0
        self._away = ""
        self._told: set[str] = set()

    def scan(self, has_writer_ended: bool) -> Scan | None:
        """See ``Source.scan``: what the tracker says now, or said a moment ago.

        Raises:
            ConfigError: MLflow does not understand the filter.
            LaunchError: The tracker cannot be asked, where that is not to be waited for.
        """
        began = self._clock()
        if self._last is not None and began < self._next_at and not has_writer_ended:
            return self._last
        try:
            found = tracking.find_trained(self._uri, self._experiment, self._where)
        except TrackingError as exc:
            self._tell_away(exc)
            self._last = None
            return None
        if self._away:
            self._say("the tracker answers again")
            self._away = ""
        self._last = self._look(found)
        took = self._clock() - began
        self._next_at = began + took / _SHARE if took > _QUICK_S else 0.0
        return self._last

    def _look(self, found: list[TrainedRun]) -> Scan:
        ready: list[Candidate] = []
        changing: list[str] = []
        broken: list[tuple[str, str]] = []
        for run in found:
            if run.ended_ms < self._since * 1000:
                continue
            name = f"{run.name} ({run.run_id[:8]})"
            if run.why_not:
                self._once(f"{name}: not evaluated: {run.why_not}")
                continue
            look = self._readiness.look(run.folder, False) if run.folder else None
            key = _key(run, self._cache) if look is None or look.state == State.READY else ""
            if key:
                ready.append(Candidate(name, key, _overrides(run), run.folder))
            elif look is not None and look.state == State.BROKEN:
                broken.append((name, look.reason))
            else:
                changing.append(name)
        return Scan(tuple(ready), tuple(changing), tuple(broken))

    def finished(self, candidate: Candidate) -> None:
        """See ``Source.finished``: nothing is kept for a run."""

    def _tell_away(self, error: TrackingError) -> None:
        # MLflow's own word for a filter that it cannot read; time does not mend it.
        if getattr(error.__cause__, "error_code", "") == "INVALID_PARAMETER_VALUE":
            raise ConfigError(error.problems) from error
        if not self._may_be_away:
            raise LaunchError(error.problems) from error
        problem = error.problems[0]
        happened = problem.happened + (f" (try: {problem.cure})" if problem.cure else "")
        if happened != self._away:
            self._away = happened
            self._say(f"the tracker cannot be asked, and is asked again: {happened}")

    def _once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._say(text)


def _key(run: TrainedRun, cache: Path) -> str:
    if run.folder is None:
        # Artifacts of a finished run do not change; one that was taken up again ends later.
        return f"{run.ended_ms}@{run.run_id}"
    try:
        return content_key(run.folder, run.run_id, cache)
    except (OSError, ValueError):
        return ""


def _overrides(run: TrainedRun) -> tuple[str, ...]:
    is_adapter = run.folder is None or holds_adapter(run.folder)
    return (override("model.adapter" if is_adapter else "model.base", f"runs:/{run.run_id}"),)
