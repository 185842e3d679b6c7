"""One stream of prompts over all subsets: collected, batched across subsets, written back in order.

OpenCompass's own inferencers make the prompts and write the predictions, each with a stand-in for
the model (``prompts.py``): first one that notes what is asked, at the end one that answers from
what was noted. Between the two the order is ours (``batches.py``), and every batch that is answered
is kept at once (``journal.py``), so that a killed run goes on from its last batch.
"""
