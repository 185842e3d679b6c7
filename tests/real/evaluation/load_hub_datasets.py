"""Loads datasets of the hub from a cache, with no network; runs with the evaluation's Python.

Arguments: folder to work in. Prints the rows as JSON, by name.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from ftbench import hub_cache
from tests.data.repositories import add_snapshot, parquet

QUESTION = {
    "question": "Which?",
    "opa": "a",
    "opb": "b",
    "opc": "c",
    "opd": "d",
    "cop": 1,
    "subject_name": "Oral_Health",
    "topic_name": "t",
    "choice_type": "single",
}

TRUTHFUL_CARD = """---
license: apache-2.0
configs:
- config_name: generation
  data_files:
  - split: validation
    path: generation/validation-*
- config_name: multiple_choice
  data_files:
  - split: validation
    path: multiple_choice/validation-*
---
"""


def main() -> None:
    folder = Path(sys.argv[1])
    hub = folder / ".cache" / "hub"  # hidden, as it is at home
    write_cache(hub)
    os.environ.update(HF_HUB_CACHE=str(hub), HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    from ftbench_eval.hub_data import load_from_snapshots, prepare_cache

    prepare_cache(os.environ, folder / "scratch")
    import opencompass.datasets  # noqa: F401  its loaders took load_dataset before it is led here
    from ftbench_eval.opencompass_config import use_real_python_root
    from ftbench_eval.presets import choose
    from opencompass.utils import build_dataset_from_cfg

    from ftbench.catalogue import load_catalogue

    use_real_python_root()
    load_from_snapshots(os.environ)
    names = ["medmcqa", "truthfulqa", "GLUE_CoLA", "winograd"]
    rows: dict[str, Any] = {}
    for chosen in choose(names, load_catalogue(), {}, {}):
        (subset,) = chosen.subsets
        rows[chosen.name] = [dict(row) for row in build_dataset_from_cfg(subset.config).test]
    rows |= load_directly()
    print(json.dumps(rows))


def write_cache(hub: Path) -> None:
    add_snapshot(
        hub,
        "openlifescienceai/medmcqa",
        {
            "README.md": "---\nlicense: mit\n---\n",
            "data/train-00000-of-00001.parquet": parquet(QUESTION, QUESTION),
            "data/validation-00000-of-00001.parquet": parquet(QUESTION),
        },
    )
    answers = {
        "question": "q",
        "best_answer": "b",
        "correct_answers": ["b"],
        "incorrect_answers": ["i"],
    }
    add_snapshot(
        hub,
        "truthful_qa",
        {
            "README.md": TRUTHFUL_CARD,
            "generation/validation-00000-of-00001.parquet": parquet(answers),
            "multiple_choice/validation-00000-of-00001.parquet": parquet({"question": "m"}),
        },
    )
    add_snapshot(hub, "glue", {"glue.py": "raise SystemExit('a script of the hub was run')"})
    cola = {name: f"cola/{name}/0000.parquet" for name in ("train", "validation", "test")}
    copies = {path: parquet({"sentence": name, "label": 1}) for name, path in cola.items()}
    copies["sst2/train/0000.parquet"] = parquet({"text": "another configuration"})
    add_snapshot(hub, "glue", copies, hub_cache.PARQUET)
    add_snapshot(hub, "winograd_wsc", {"winograd_wsc.py": "raise SystemExit('it was run')"})
    wsc = {"text": "t", "options": ["x", "y"], "source": "s", "label": 0, "pronoun": "it"}
    copy = {"wsc285/test/0000.parquet": parquet(wsc)}
    add_snapshot(hub, "winograd_wsc", copy, hub_cache.PARQUET)
    add_snapshot(hub, "owner/lines", {"test.jsonl": '{"a": 1}\n{"a": 2}\n', "en/dev.csv": "b\n3\n"})


def load_directly() -> dict[str, Any]:
    from datasets import load_dataset
    from huggingface_hub import snapshot_download

    named = load_dataset("owner/lines", data_files={"test": "test.jsonl"}, split="test")
    folder = load_dataset("owner/lines", data_files="en/dev.csv", split="train")
    try:
        load_dataset("owner/absent")
    except ConnectionError as exc:
        absent = str(exc)
    snapshot = Path(snapshot_download("owner/lines", repo_type="dataset"))
    return {
        "data_files": list(named),
        "data_files in a folder": list(folder),
        "absent": absent,
        "snapshot": sorted(path.name for path in snapshot.iterdir()),
    }


if __name__ == "__main__":
    main()
