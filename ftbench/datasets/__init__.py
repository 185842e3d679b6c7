"""Finds datasets from the command line; ``python -m ftbench.datasets`` says what it can do.

``__main__`` names the commands, each a module of one shape; ``words`` says in plain words what the
catalogue records, ``finding`` looks for words in it, ``output`` prints.
"""
