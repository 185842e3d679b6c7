"""A Qwen2 model that writes down every row it is asked, and takes its time.

Comes with a checkpoint (``trust_remote_code``), so that it counts whatever program, runtime or
wrapper asks it: one line of JSON per batch in ``$OUTPUT_PATH/asked.jsonl``, before the answer.
"""

import hashlib
import json
import os
import time
from pathlib import Path

from transformers import Qwen2ForCausalLM


class CountedForCausalLM(Qwen2ForCausalLM):
    """Its config says more.

    ``counted_delay_s``: seconds that each batch takes at least. ``counted_stop_after``: batches
    after which it thinks on until there is a file ``go`` in the run folder; 0: never.
    """

    _is_generating = False

    def generate(self, *args, **kwargs):
        self._note("generate", args, kwargs)
        self._is_generating = True
        try:
            return super().generate(*args, **kwargs)
        finally:
            self._is_generating = False

    def forward(self, *args, **kwargs):
        if not self._is_generating:
            self._note("forward", args, kwargs)
        return super().forward(*args, **kwargs)

    def _note(self, what, args, kwargs):
        ids = kwargs.get("input_ids", kwargs.get("inputs", args[0] if args else None))
        mask = kwargs.get("attention_mask")
        rows = []
        for position, row in enumerate(ids.tolist()):
            kept = row
            if mask is not None:
                kept = [i for i, m in zip(row, mask[position].tolist(), strict=True) if m]
            rows.append(hashlib.sha256(json.dumps(kept).encode()).hexdigest()[:16])
        line = json.dumps({"what": what, "rows": rows}) + "\n"
        path = Path(os.environ["OUTPUT_PATH"]) / "asked.jsonl"
        limit = getattr(self.config, "counted_stop_after", 0)
        while limit and path.is_file() and path.read_text().count("\n") >= limit:
            if path.with_name("go").exists():
                break
            time.sleep(0.1)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(handle, line.encode())
        os.close(handle)
        time.sleep(getattr(self.config, "counted_delay_s", 0))
