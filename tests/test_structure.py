"""The dependency direction of the host package, held against the code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ftbench

PACKAGE = Path(ftbench.__file__).parent

# A module imports only what stands before its own row; modules of one row never import each other.
ROWS = [
    [
        "errors",
        "schema",
        "json_files",
        "options",
        "own_rows",
        "uris",
        "logs",
        "paths",
        "process",
        "judge_client",
        "services",
        "pip_settings",
        "hub_cache",
        "plots",
        "printing",
        "list_functions",
        "quoting",
        "repository",
        "hardware",
    ],
    [
        "preset",
        "aggregates",
        "sidecar",
        "training_command",
        "evidence",
        "statistics",
        "canary_words",
        "deltas",
        "decision",
    ],
    ["catalogue", "dataset_options", "validity", "outcomes", "average"],
    ["score_rows", "error_bars", "delta_text"],
    ["program", "engine", "host", "plan", "config", "checkpoint", "workspace", "comparison"],
    ["gate_checks", "sweep", "reuse", "error_samples", "provenance"],
    ["config_checks", "feedback"],
    [
        "data",
        "build_context",
        "help_text",
        "environment",
        "explain",
        "model_source",
        "tracking",
        "report",
    ],
    [
        "datasets",
        "image",
        "compose",
        "plan_text",
        "live",
        "own_datasets",
        "references",
        "sweep_driver",
        "against",
        "outcome",
    ],
    ["choosing", "training_link", "record", "compare", "gate", "adapter_lists", "null_adapter"],
    ["judge", "gpu_pool", "resolved"],
    ["runtimes", "fingerprints"],
    ["planning"],
    ["collect", "preflight", "launchers", "ready"],
    ["training", "reproduce", "baseline", "line"],
    ["run"],
    ["sweep_job"],
    ["command_line", "watch"],
    ["demo"],
    ["following"],
    ["hooks"],
    ["axolotl"],
]

# The entry point hands over to its Hydra edge, which calls it back once per job.
CALLS_BACK = ("run", "command_line")

# Third-party modules and the only places that may import them.
WALLS = {
    "hydra": {"compose", "command_line"},
    "mlflow": {"tracking", "demo"},
    "docker": {"engine", "runtimes", "image"},
    "torch": {"demo"},
    "matplotlib": {"plots"},
    "transformers": {"hooks"},
    "axolotl": {"axolotl"},
    "scipy": {"statistics"},
    "statsmodels": {"statistics"},
}


def modules() -> list[Path]:
    return [p for p in PACKAGE.rglob("*.py") if "demo" not in p.relative_to(PACKAGE).parts]


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "ftbench":
                names |= {f"ftbench.{alias.name}" for alias in node.names}
            else:
                names.add(node.module)
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    row = {name: index for index, names in enumerate(ROWS) for name in names}
    own = part_of(path)
    if own == "__init__":
        return
    assert own in row, f"{own} has no row in ROWS"
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] != "ftbench" or len(parts) < 2 or parts[1] in ("__version__", own):
            continue
        assert row[parts[1]] < row[own] or (own, parts[1]) == CALLS_BACK, f"{own} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_third_party_modules_stay_behind_their_walls(path: Path) -> None:
    for name in imports_of(path):
        allowed = WALLS.get(name.split(".")[0])
        assert allowed is None or part_of(path) in allowed, f"{path} imports {name}"


def test_a_minus_is_one_sign_everywhere() -> None:
    # U+2212 beside a hyphen-minus cannot be searched for, nor pasted as a number.
    texts = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.css"), *PACKAGE.parent.glob("docs/*.md")]
    assert [path.name for path in texts if "\u2212" in path.read_text(encoding="utf-8")] == []


def test_the_command_line_imports_nothing_heavy() -> None:
    heavy = (
        "{'mlflow', 'docker', 'torch', 'pandas', 'pyarrow', 'matplotlib', 'hydra', 'omegaconf', "
        "'scipy', 'statsmodels'}"
    )
    code = f"import sys, ftbench.run; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
