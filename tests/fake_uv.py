"""Scripts in the place of uv and of Python, for tests of the local runtime's environment."""

from pathlib import Path

# Counts its calls, fails at the one that has a file of its number, with what stands in it.
SCRIPT = """#!/bin/sh
echo "$(basename "$0") $*" >> "$FAKE/calls"
env > "$FAKE/environment"
fails="$FAKE/fails-$(wc -l < "$FAKE/calls" | tr -d ' ')"
if [ -f "$fails" ]; then cat "$fails" >&2; exit 2; fi
if [ "$1" = venv ]; then
  for folder; do :; done
  sleep "${FAKE_SECONDS:-0}"
  mkdir -p "$folder/bin" && cp "$0" "$folder/bin/python"
fi
"""


def script(path: Path, text: str) -> Path:
    """Writes an executable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def python_of_version(path: Path, version: str) -> Path:
    """A Python that says which version it is."""
    return script(path, f"#!/bin/sh\necho {version}\n")
