"""Which questions changed sides, and which of them are shown."""

from __future__ import annotations

from dataclasses import replace

from ftbench.comparison import compare
from ftbench.comparison.answers import Place
from ftbench.comparison.flips import MAX_SHOWN, even_choice
from tests.comparison.builders import Told, answered


def test_flips_are_counted_both_ways_with_both_answers() -> None:
    (flips,) = compare([answered("base", a="0011"), answered("lora", a="1110")], 0).flips
    assert (flips.run, flips.dataset, flips.gained, flips.lost) == (1, "a", 2, 1)
    assert [(f.index, f.is_gained) for f in flips.shown] == [(0, True), (1, True), (3, False)]
    first = flips.shown[0]
    assert (first.before.extracted, first.after.extracted, first.after.reference) == ("B", "A", "A")


def test_more_flips_than_are_shown_are_counted_all_the_same() -> None:
    (flips,) = compare([answered("base", a="0" * 50), answered("lora", a="1" * 50)], 0).flips
    assert (flips.gained, flips.lost, len(flips.shown)) == (50, 0, MAX_SHOWN)


def test_repeated_question_flips_where_it_is_right_more_often() -> None:
    base, lora = answered("base", a="10 10 00"), answered("lora", a="10 01 01")
    (flips,) = compare([base, lora], 0).flips
    assert (flips.gained, flips.lost) == (1, 1)
    told = {f.index: (f.before.extracted, f.after.extracted) for f in flips.shown}
    assert told == {0: ("A", "B"), 1: ("B", "A")}


def test_choice_is_even_and_always_the_same() -> None:
    places = [Place("a", number, 0) for number in range(1000)]
    chosen = even_choice(places, 10)
    assert chosen == even_choice(places, 10)
    assert [place.position // 100 for place in chosen] == list(range(10))
    assert even_choice(places[:7], 10) == places[:7]


def test_unpaired_answers_have_no_flips() -> None:
    lora = replace(answered("lora", a="1110"), answers=Told({}))
    assert compare([answered("base", a="0011"), lora], 0).flips == ()
