"""Resolves the dataset names of a configuration: presets, options, and where the data lies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ftbench.catalogue import Catalogue, UnknownDataset
from ftbench.config import Config, dataset_names, own_options
from ftbench.data import Missing, find_missing
from ftbench.dataset_options import option_values, resolve_options
from ftbench.errors import ConfigError, Problem
from ftbench.host import Host
from ftbench.options import DatasetOptions, unique_abbrs
from ftbench.own_datasets import OwnDataset, is_own, read_own
from ftbench.preset import DataSource, Preset


@dataclass(frozen=True)
class ChosenDataset:
    """One dataset as the user named it.

    Attributes:
        presets: What it stands for; ``arc`` has two.
        abbrs: For each preset its OpenCompass abbrs, with the name that each has in the
            evaluation, where it is unique.
        own: The user's file that it is, or None.
    """

    name: str
    presets: tuple[Preset, ...]
    options: DatasetOptions
    abbrs: tuple[tuple[Preset, Mapping[str, str]], ...] = ()
    own: OwnDataset | None = None

    @property
    def subsets(self) -> tuple[str, ...]:
        """Names of the subsets in the evaluation, preset after preset."""
        return tuple(name for _, names in self.abbrs for name in names.values())


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

    def only(self, names: Iterable[str]) -> Chosen:
        """The same with some of the datasets."""
        kept = set(names)
        return replace(self, datasets=tuple(d for d in self.datasets if d.name in kept))


def choose_datasets(config: Config, host: Host, catalogue: Catalogue) -> Chosen:
    """Resolves the dataset names.

    Raises:
        ConfigError: Names that the catalogue does not know or cannot use, all at once.
    """
    datasets: list[ChosenDataset] = []
    problems: list[Problem] = []
    for name in dataset_names(config):
        if is_own(name, catalogue):
            own = read_own(name, host.path(name).absolute(), catalogue)
            if isinstance(own, OwnDataset):
                datasets.append(ChosenDataset(own.name, (own.preset,), DatasetOptions(), own=own))
            else:
                problems += own
            continue
        try:
            presets = catalogue.resolve_all(name)
            datasets.append(ChosenDataset(name, presets, DatasetOptions()))
        except UnknownDataset as exc:
            problems.append(unknown_dataset(exc))
    problems += _twice(datasets)
    datasets = with_subsets(_with_options(datasets, config))
    if problems:
        raise ConfigError(problems)
    # Inside a container there may be no folder for a ".." to start from.
    data_dir = host.path(config.data_dir or host.data_dir).resolve()
    chosen = Chosen(tuple(datasets), data_dir, ())
    return replace(chosen, missing=tuple(find_missing(chosen.sources, data_dir, host.hub_dir)))


def with_subsets(datasets: Sequence[ChosenDataset]) -> list[ChosenDataset]:
    """The datasets, with the names that their subsets have when these are asked together."""
    presets = [(preset.mode, preset.subsets) for d in datasets for preset in d.presets]
    named = iter(unique_abbrs(presets))
    return [
        replace(d, abbrs=tuple((preset, next(named)) for preset in d.presets)) for d in datasets
    ]


def unknown_dataset(error: UnknownDataset) -> Problem:
    """The problem of a name that the catalogue does not resolve."""
    near = ", ".join(error.suggestions)
    cure = f"one of: {near}" if near else "python -m ftbench.datasets list shows every name"
    return Problem(f"datasets: '{error.name}'", str(error), cure)


def _with_options(datasets: list[ChosenDataset], config: Config) -> list[ChosenDataset]:
    names = [dataset.name for dataset in datasets]
    own = [(key, option_values(conf)) for key, conf in own_options(config)]
    return [
        replace(d, options=resolve_options(d.name, option_values(config), own, names)[0])
        for d in datasets
    ]


def _twice(datasets: list[ChosenDataset]) -> list[Problem]:
    owner: dict[str, str] = {}
    problems = []
    files: dict[str, OwnDataset] = {}
    for own in (dataset.own for dataset in datasets if dataset.own):
        if own.name in files and own.path != files[own.name].path:
            happened = f"would be shown as '{own.name}', as '{files[own.name].path}' is"
            problems.append(Problem(f"datasets: '{own.path}'", happened, "rename one of them"))
        files[own.name] = own
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
