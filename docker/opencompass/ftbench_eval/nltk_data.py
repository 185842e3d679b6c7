"""Gives NLTK its English sentence model, which it would download otherwise.

IFEval counts sentences and words with it. The model comes with a package of the lock file, as
Python literals; NLTK reads text files, so they are written out. Nothing else of NLTK's data is
provided.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, MutableMapping
from pathlib import Path

_MODEL = Path("tokenizers", "punkt_tab", "english")


def provide_sentence_model(folder: Path, environ: MutableMapping[str, str]) -> None:
    """Writes the model and tells NLTK, behind places that the user named.

    Args:
        folder: The data folder to fill; must not exist.
        environ: ``os.environ`` of the process that imports NLTK later.

    Side effects: writes the files; changes ``NLTK_DATA``. Nothing where the package is absent:
        then only what needs the model fails.

    Source: ``load_punkt_params`` of nltk 3.10 for the format. The four files hold the same lines
        as NLTK's own ``punkt_tab/english``.
    """
    try:
        from punkt.data import english
    except ImportError:
        return
    model = folder / _MODEL
    model.mkdir(parents=True)
    _write(model / "abbrev_types.txt", english.ABBREV_TYPES)
    _write(model / "sent_starters.txt", english.SENT_STARTERS)
    _write(model / "collocations.tab", map("\t".join, english.COLLOCATIONS))
    contexts = (f"{word}\t{flags}" for word, flags in english.ORTHO_CONTEXT.items())
    _write(model / "ortho_context.tab", contexts)
    places = [place for place in [environ.get("NLTK_DATA", "")] if place]
    environ["NLTK_DATA"] = os.pathsep.join([*places, str(folder)])


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in sorted(lines)), encoding="utf-8")
