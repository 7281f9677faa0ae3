"""Scores per question against gold evidence, and the statistics of comparing them."""
