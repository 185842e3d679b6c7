"""The small world of the demo: what the base model knows, what the adapter learns, what is asked.

The base model is taught what some words are, and to repeat the number of a short story. The adapter
is taught what further words are, and to add a small number. The benchmark asks for the latter,
with questions and stories that no training example has.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

KINDS = ("an animal", "a food", "a tool", "a garment")
"""The options of every multiple-choice question, A to D."""

BASE_WORDS = (
    "horse sheep goat rabbit tiger eagle whale donkey camel otter badger heron".split(),
    "bread cheese apple honey butter carrot noodle pepper yogurt cherry walnut potato".split(),
    "hammer shovel chisel pliers wrench ladder drill sickle trowel mallet tongs crowbar".split(),
    "jacket glove scarf helmet sweater trousers sandal apron bonnet waistcoat tunic shawl".split(),
)
"""What the base model knows, by kind."""

ADAPTER_WORDS = (
    "lizard beetle spider falcon monkey turtle walrus zebra pigeon hamster ferret salmon".split(),
    "muffin pickle banana tomato almond celery waffle garlic radish omelet biscuit pancake".split(),
    "anvil spanner hatchet bellows sander lathe scythe pickaxe tweezers clamp auger rasp".split(),
    "blouse mitten cardigan poncho kimono jersey slipper turban corset parka anorak cloak".split(),
)
"""What only the adapter is taught, by kind."""

QUESTIONS = (
    "What is a {word}?",
    "Which kind of thing is a {word}?",
    "Tom bought a {word}. What did he buy?",
    "Ann drew a {word}. What did she draw?",
    "There is a {word} in the picture. What is it?",
    "Somebody lost a {word}. What is missing?",
    "A dictionary explains the word {word}. What does it say?",
    "Max dreamt of a {word}. What was it?",
    "Eva wants to know what a {word} is. What do you tell her?",
    "The riddle's solution is: a {word}. What is that?",
    "Leo wrote a story about a {word}. What was it about?",
    "Mia points at a {word}. What does she point at?",
    "Sam keeps a {word} at home. What does he keep?",
    "Ida has never seen a {word}. What has she never seen?",
    "The shop has only one {word} left. What is left?",
    "The first word of the poem is {word}. What does it name?",
    "Ben describes a {word} to a child. What does he describe?",
    "Zoe spells the word {word}. What does it stand for?",
    "The label on the box says {word}. What is inside?",
    "The prize is a {word}. What can be won?",
    "A {word} was found under the bridge. What was found?",
    "Nobody expected a {word}. What was unexpected?",
    "The painting is called: the {word}. What does it show?",
    "Everyone talks about the {word}. What is it?",
)

NAMES = "Tom Ann Max Eva Leo Mia Sam Ida Ben Zoe".split()

THINGS = "stamps books coins shells cards pens rings keys".split()

LETTERS = "ABCD"

LARGEST = 18
"""Of the numbers in the stories."""


@dataclass(frozen=True)
class Choice:
    """A multiple-choice question, with ``KINDS`` as its options.

    Attributes:
        answer: The letter of the right one.
    """

    question: str
    answer: str


@dataclass(frozen=True)
class Story:
    """A short story with a number as its answer."""

    question: str
    answer: int


Question = TypeVar("Question", Choice, Story)


def choices(seed: int, words: tuple[list[str], ...]) -> Iterator[Choice]:
    """Endless questions for the kind of a word.

    Args:
        seed: Of their order.
        words: By kind, in the order of ``KINDS``.
    """
    rng = random.Random(seed)
    while True:
        kind = rng.randrange(len(KINDS))
        word = rng.choice(words[kind])
        yield Choice(rng.choice(QUESTIONS).format(word=word), LETTERS[kind])


def repetitions(seed: int) -> Iterator[Story]:
    """Endless stories whose number is only to be repeated."""
    rng = random.Random(seed)
    while True:
        name, thing, number = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, LARGEST)
        yield Story(f"{name} has {number} {thing}. How many {thing} does {name} have?", number)


def additions(seed: int) -> Iterator[Story]:
    """Endless stories in which 1, 2 or 3 is added to a number."""
    rng = random.Random(seed)
    while True:
        name, thing = rng.choice(NAMES), rng.choice(THINGS)
        first, second = rng.randint(2, LARGEST), rng.randint(1, 3)
        yield Story(
            f"{name} has {first} {thing} and gets {second} more. "
            f"How many {thing} does {name} have now?",
            first + second,
        )


def take_new(source: Iterator[Question], count: int, seen: set[str]) -> list[Question]:
    """Takes questions whose text is not in ``seen``, and adds them to it.

    Args:
        source: Endless questions.
        count: How many to take.
        seen: Texts that are taken already.
    """
    taken: list[Question] = []
    while len(taken) < count:
        item = next(source)
        if item.question not in seen:
            seen.add(item.question)
            taken.append(item)
    return taken
