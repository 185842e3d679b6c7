"""Several copies of the model, each in a process with GPUs of its own, answering one stream.

``choice.py`` decides how many copies of how many GPUs each, ``sizes.py`` measures what that is
decided by, ``worker.py`` is the process, ``workers.py`` its end in the evaluation program.
"""
