"""What was decoded once is not decoded again."""

from __future__ import annotations

from ftbench_eval.stop_words import RememberingTokenizer

Rows = list[list[int]]


class Ids:
    """What the criterion hands over of a tensor."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def tolist(self) -> Rows:
        return self._rows


class Tokenizer:
    def __init__(self) -> None:
        self.decoded: list[Rows] = []

    def batch_decode(self, rows: Rows) -> list[str]:
        self.decoded.append(rows)
        return ["".join(map(chr, row)) for row in rows]


def test_only_what_is_new_is_decoded() -> None:
    tokenizer = Tokenizer()
    remembering = RememberingTokenizer(tokenizer)
    assert remembering.batch_decode(Ids([[65, 66], [67, 68], [65, 66]])) == ["AB", "CD", "AB"]
    assert remembering.batch_decode(Ids([[67, 68], [66, 65]])) == ["CD", "BA"]
    assert remembering.batch_decode(Ids([[66, 65]])) == ["BA"]
    assert tokenizer.decoded == [[[65, 66], [67, 68]], [[66, 65]]]
