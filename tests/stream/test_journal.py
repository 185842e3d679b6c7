"""The journal: what is answered is kept, what is torn or another's is not believed."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from ftbench_eval.stream.journal import Journal
from ftbench_eval.stream.requests import Answer

from tests.stream.requests import LOSS, request, requests

MINE, OTHER = "a" * 64, "b" * 64


def written(path: Path, fingerprint: str = MINE) -> Journal:
    """A journal with two answers of subset a."""
    journal = Journal(path, fingerprint)
    journal.start({"limits": {"generate": [8, None]}})
    journal.add(requests("a", [10, 10]), [Answer("x\ud800\u2028y", 3, False), Answer("z", 8, True)])
    journal.close()
    return journal


def test_answers_are_found_again(tmp_path: Path) -> None:
    written(tmp_path / "m" / "answers.jsonl")
    again = Journal(tmp_path / "m" / "answers.jsonl", MINE)
    assert again.facts == {"limits": {"generate": [8, None]}}
    assert again.answer(request("a", 0)) == Answer("x\ud800\u2028y", 3, False)
    assert again.answers("a") == {0: Answer("x\ud800\u2028y", 3, False), 1: Answer("z", 8, True)}
    assert again.answer(request("a", 2)) is None
    assert again.answer(request("b", 0)) is None


def test_a_loss_keeps_every_bit(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    losses = [0.1 + 0.2, 1e-300, math.inf]
    journal = Journal(path, MINE)
    journal.start({})
    journal.add(requests("a", [1, 1, 1], LOSS), [Answer(loss) for loss in losses])
    again = Journal(path, MINE).answers("a")
    assert [again[i].value for i in range(3)] == losses


def test_an_answer_counts_for_the_very_request_only(tmp_path: Path) -> None:
    written(tmp_path / "answers.jsonl")
    journal = Journal(tmp_path / "answers.jsonl", MINE)
    changed = dataclasses.replace(request("a", 0), digest="of another prompt")
    assert journal.answer(changed) is None


def test_every_cut_of_the_file_gives_whole_answers_or_none(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    written(path)
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        journal = Journal(path, MINE)
        lines = sum(end <= cut for end in ends)
        assert len(journal.answers("a")) == max(0, lines - 1)
        journal.start({})
        journal.add([request("a", 1)], [Answer("again")])
        journal.close()
        assert Journal(path, MINE).answer(request("a", 1)) == Answer("again")


def test_answers_without_a_head_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    written(path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    assert Journal(path, MINE).answers("a") == {}


@pytest.mark.parametrize("content", ["", "\n", "[]\n", "null\n", "{}\n", '"x"\n', "\x00\x00\n"])
def test_a_foreign_file_is_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(content)
    journal = Journal(path, MINE)
    assert journal.facts == {}
    journal.start({})
    journal.add([request("a", 0)], [Answer("new")])
    journal.close()
    assert Journal(path, MINE).answers("a") == {0: Answer("new")}


def test_another_evaluations_answers_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    written(path, OTHER)
    journal = Journal(path, MINE)
    assert journal.answers("a") == {}
    journal.start({})
    journal.close()
    assert OTHER not in path.read_text(errors="surrogatepass")


def test_a_killed_process_has_lost_nothing_that_was_added(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    journal = Journal(path, MINE)
    journal.start({})
    journal.add([request("a", 0)], [Answer("x")])
    assert json.loads(path.read_text().splitlines()[1])["value"] == "x"


def test_a_disk_that_is_full_is_said(tmp_path: Path) -> None:
    journal = Journal(Path("/dev/full"), MINE)
    with pytest.raises(OSError, match="No space left"):
        journal.start({})
