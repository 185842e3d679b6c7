"""The evaluation program: OpenCompass in one process, the model loaded once, scoring beside it."""
