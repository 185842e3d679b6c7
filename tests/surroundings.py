"""A machine, a small catalogue and a configuration, for tests of what is decided from them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from ftbench.catalogue import Catalogue
from ftbench.choosing import choose_datasets
from ftbench.config import Config, ModelConf, RuntimeConf, TrackingConf
from ftbench.host import Host
from ftbench.model_source import locate_model
from ftbench.plan import Plan
from ftbench.planning import make_plan
from tests.checkpoint.folders import make_adapter, make_base

NOW = 1_800_000_000.0

CATALOGUE = Catalogue(
    opencompass_version="0.5.4",
    families={
        name: f"{name}/{name}_gen.py"
        for name in ("gsm8k", "mmlu", "hle", "essays", "sums", "tools")
    },
    aliases={"both": ("gsm8k", "mmlu")},
    downloads={},
    entries={
        "gsm8k/gsm8k_gen.py": {
            "mode": "gen",
            "subsets": ["gsm8k"],
            "sources": [["download", "data/gsm8k"]],
        },
        "mmlu/mmlu_gen.py": {
            "mode": "gen",
            "subsets": ["mmlu_{law|art}"],
            "sources": [["download", "data/mmlu"]],
        },
        "mmlu/mmlu_ppl.py": {
            "mode": "ppl",
            "subsets": ["mmlu_{law|art}"],
            "sources": [["download", "data/mmlu"]],
        },
        "hle/hle_gen.py": {"mode": "gen", "subsets": ["hle"], "sources": [["hub", "cais/hle"]]},
        "essays/essays_gen.py": {
            "mode": "gen",
            "subsets": ["essays"],
            "needs": ["judge"],
            "evaluators": ["GenericLLMEvaluator"],
        },
        "essays/essays_prm_gen.py": {
            "mode": "gen",
            "subsets": ["essays"],
            "needs": ["judge"],
            "evaluators": ["LiveMathBenchEvaluator"],
        },
        "sums/sums_gen.py": {
            "mode": "gen",
            "subsets": ["sums"],
            "needs": ["judge_optional"],
            "evaluators": ["CascadeEvaluator"],
        },
        "tools/tools_gen.py": {
            "mode": "gen",
            "subsets": ["tools"],
            "needs": ["code", "network"],
            "evaluators": ["BigCodeBenchEvaluator"],
        },
    },
)


def make_host(root: Path, **other: Any) -> Host:
    """A machine on which everything lies below ``root``."""
    facts: dict[str, Any] = {
        "cwd": root,
        "cache_dir": root / "cache",
        "data_dir": root / "compass",
        "hub_dir": root / "hub",
        "hub_offline": False,
        "tracking_uri": None,
        "processors": 8,
        "user": "1000:1000",
        "command": ("python", "-m", "ftbench.run", "datasets=[gsm8k]"),
        "secrets": {},
    }
    return Host(**(facts | other))


def make_config(**other: Any) -> Config:
    """Evaluates the adapter ``out`` on gsm8k, on the CPU, unrecorded.

    Args:
        other: Values by key, with ``__`` for the dot, such as ``backend__seed=1``.
    """
    config = Config(
        datasets=["gsm8k"],
        model=ModelConf(adapter="out", base="base"),
        runtime=RuntimeConf(name="local", num_gpus=0),
        tracking=TrackingConf(name="none"),
    )
    for key, value in other.items():
        *groups, leaf = key.split("__")
        owner: Any = functools.reduce(getattr, groups, config)
        assert hasattr(owner, leaf)
        setattr(owner, leaf, value)
    return config


def make_world(root: Path) -> Path:
    """Writes an adapter, its base, and the data of gsm8k below ``root``."""
    make_adapter(root / "out")
    make_base(root / "base")
    for name in ("gsm8k", "mmlu"):
        folder = root / "compass" / "data" / name
        folder.mkdir(parents=True)
        (folder / "test.jsonl").write_text('{"question": "1+1"}\n')
    return root


def planned(config: Config, host: Host) -> Plan:
    """The plan of a configuration on a machine."""
    chosen = choose_datasets(config, host, CATALOGUE)
    return make_plan(config, host, locate_model(config.model, host), chosen, NOW)
