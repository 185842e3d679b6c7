"""What a model writes changes nothing but its own row, whatever it writes.

Every attack of every family is scored in one run, mixed with honest rows; each test looks at it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.real.evaluation import hostile
from tests.real.evaluation.conftest import PROGRAM, ROOT


@dataclass(frozen=True)
class Scored:
    """What a run of the driver left.

    Attributes:
        folder: Its folder.
        heard: What reached the listener.
        in_tmp: What its attacks left in /tmp.
    """

    folder: Path
    heard: list[bytes]
    in_tmp: list[str]

    @property
    def said(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "said.json").read_text()))

    def result(self, abbr: str) -> dict[str, Any]:
        path = self.folder / "run" / "results" / "m" / f"{abbr}.json"
        return dict(json.loads(path.read_text()))

    def right(self, abbr: str) -> list[str]:
        """Names of the rows that the benchmark takes for right."""
        details = self.result(abbr)["details"]
        rows = (
            details if isinstance(details, list) else [details[k] for k in sorted(details, key=int)]
        )
        return [
            name
            for name, row in zip(self.said["names"][abbr], rows, strict=True)
            if row["is_correct"] in (True, [True])
        ]

    def files(self) -> set[str]:
        """Every file of the run folder, by its path in it."""
        run = self.folder / "run"
        return {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}

    @property
    def other(self) -> str:
        """The result of another subset, which was there before."""
        return (self.folder / "run" / "results" / "m" / "other.json").read_text()


@pytest.fixture(scope="module")
def runs(eval_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scored]:
    """Both runs of the driver, with a planted secret and a listener."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "secrets").mkdir()
    (folder / "secrets" / "HF_TOKEN").write_text(hostile.SECRET)
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=listen, args=(listener, heard), daemon=True).start()
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(PROGRAM.parent)]),
            "HF_HUB_OFFLINE": "1",
            "HF_TOKEN": hostile.SECRET,
        }
        subprocess.run(
            [eval_python, hostile.__file__, folder, str(port)],
            env=environ,
            check=True,
            timeout=900,
            stdout=subprocess.DEVNULL,
        )
    left = list(Path("/tmp").glob(f"mine-{port}-*"))
    for path in left:
        path.unlink()
    return {
        mode: Scored(
            folder / mode,
            [text for text in heard if text == mode.encode()],
            [path.name for path in left if path.name.endswith(mode)],
        )
        for mode in ("confined", "open")
    }


def listen(listener: socket.socket, heard: list[bytes]) -> None:
    """Notes what each connection says, until the listener is closed."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(2)
                heard.append(connection.recv(100))


@pytest.fixture(scope="module")
def confined(runs: dict[str, Scored]) -> Scored:
    return runs["confined"]


def test_every_subset_is_scored(confined: Scored) -> None:
    assert confined.said["reasons"] == {"openai_humaneval": None, "mbpp": None, "TheoremQA": None}


@pytest.mark.parametrize(
    ("abbr", "metric", "rows"),
    [
        ("openai_humaneval", "humaneval_pass@1", 20),
        ("mbpp", "score", 20),
        ("TheoremQA", "score", 16),
    ],
)
def test_right_are_the_honest_rows_and_the_one_that_only_prints(
    confined: Scored, abbr: str, metric: str, rows: int
) -> None:
    assert sorted(confined.right(abbr)) == ["prints 100 MB", "right 1", "right 2"]
    assert confined.result(abbr)[metric] == pytest.approx(100 * 3 / rows)


def test_nothing_is_written_outside(confined: Scored) -> None:
    scored = ("openai_humaneval", "mbpp", "TheoremQA")
    written = {f"{kind}/m/{abbr}.json" for kind in ("predictions", "results") for abbr in scored}
    assert confined.files() == written | {"results/m/other.json"}
    assert confined.other == "of another subset"
    assert not (confined.folder / "home" / "mine").exists()
    assert confined.in_tmp == []
    assert confined.said["left"] == []


def test_no_connection_is_made(confined: Scored) -> None:
    assert confined.heard == []


def test_no_secret_reaches_a_result(confined: Scored) -> None:
    texts = [path.read_text() for path in (confined.folder / "run" / "results").rglob("*.json")]
    assert len(texts) == 4
    assert not any(hostile.SECRET in text for text in texts)


def test_without_confinement_the_same_attacks_succeed(runs: dict[str, Scored]) -> None:
    unconfined = runs["open"]
    assert sorted(unconfined.right("mbpp")) == sorted(hostile.OPEN)
    assert unconfined.heard
    assert unconfined.other == "{}"
    assert (unconfined.folder / "home" / "mine").exists()
    assert "mine" in unconfined.files()
    assert unconfined.in_tmp
