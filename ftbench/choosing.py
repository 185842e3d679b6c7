"""Resolves the dataset names of a configuration: presets, options, and where the data lies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ftbench.catalogue import Catalogue, UnknownDataset
from ftbench.config import Config, dataset_names
from ftbench.data import Missing, find_missing
from ftbench.errors import ConfigError, Problem
from ftbench.host import Host
from ftbench.options import DatasetOptions
from ftbench.preset import DataSource, Preset


@dataclass(frozen=True)
class ChosenDataset:
    """One dataset as the user named it.

    Attributes:
        presets: What it stands for; ``arc`` has two.
    """

    name: str
    presets: tuple[Preset, ...]
    options: DatasetOptions

    @property
    def subsets(self) -> tuple[str, ...]:
        """OpenCompass abbrs, preset after preset."""
        return tuple(abbr for preset in self.presets for abbr in preset.subsets)


@dataclass(frozen=True)
class Chosen:
    """The chosen datasets and where their data stands.

    Attributes:
        datasets: In the user's order.
        missing: Sources that are not on this machine.
        problems: Why those cannot be brought.
    """

    datasets: tuple[ChosenDataset, ...]
    data_dir: Path
    missing: tuple[Missing, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def presets(self) -> tuple[tuple[str, Preset], ...]:
        """Every preset with the user's name that it stands under."""
        return tuple((d.name, preset) for d in self.datasets for preset in d.presets)

    @property
    def sources(self) -> tuple[tuple[str, DataSource], ...]:
        """Every source of data with the user's name of the dataset that needs it."""
        return tuple((name, source) for name, preset in self.presets for source in preset.sources)


def choose_datasets(config: Config, host: Host, catalogue: Catalogue) -> Chosen:
    """Resolves the dataset names.

    Raises:
        ConfigError: Names that the catalogue does not know or cannot use, all at once.
    """
    datasets: list[ChosenDataset] = []
    problems: list[Problem] = []
    for name in dataset_names(config):
        try:
            presets = catalogue.resolve_all(name)
            datasets.append(ChosenDataset(name, presets, DatasetOptions(limit=config.limit)))
        except UnknownDataset as exc:
            problems.append(unknown_dataset(exc))
    problems += _twice(datasets)
    if problems:
        raise ConfigError(problems)
    # Inside a container there may be no folder for a ".." to start from.
    data_dir = host.path(config.data_dir or host.data_dir).resolve()
    chosen = Chosen(tuple(datasets), data_dir, ())
    return replace(chosen, missing=tuple(find_missing(chosen.sources, data_dir, host.hub_dir)))


def unknown_dataset(error: UnknownDataset) -> Problem:
    """The problem of a name that the catalogue does not resolve."""
    near = ", ".join(error.suggestions)
    cure = f"one of: {near}" if near else "python -m ftbench.datasets list shows every name"
    return Problem(f"datasets: '{error.name}'", str(error), cure)


def _twice(datasets: list[ChosenDataset]) -> list[Problem]:
    owner: dict[str, str] = {}
    problems = []
    for dataset in datasets:
        # The same preset under two names: its samples would be asked and counted twice.
        paths = [preset.path for preset in dataset.presets]
        rivals = {owner[path] for path in paths if path in owner}
        problems += [
            Problem(
                f"datasets: '{dataset.name}'", f"is the same as '{rival}'", "choose one of them"
            )
            for rival in sorted(rivals)
        ]
        owner.update(dict.fromkeys(paths, dataset.name))
    return problems
