"""Evaluates one model on its benchmarks with OpenCompass: what runs inside the container.

Reads environment variables (``ftbench.schema.VARIABLES``) and nothing else, and fills the folder
``OUTPUT_PATH``. ``ftbench_eval.main`` tells the story.
"""

from __future__ import annotations

import os
import sys

from ftbench_eval.main import main

# Scoring processes import this file under another name; only the program itself runs main.
if __name__ == "__main__":
    sys.exit(main(os.environ))
