"""The evaluation program with room for so many more bytes once its model is loaded."""

import os
import re
import resource
import sys
from pathlib import Path
from typing import Any

from ftbench_eval.main import main
from ftbench_eval.stream.stream import Stream

ask = Stream.run


def ask_with_little_room(self: Stream, batches: Any) -> None:
    (used,) = re.findall(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())
    limit = int(used) * 1024 + int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    ask(self, batches)


# Scoring processes import this file under another name; only the program itself runs main.
if __name__ == "__main__":
    Stream.run = ask_with_little_room  # type: ignore[method-assign]
    sys.exit(main(os.environ))
