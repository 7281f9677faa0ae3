"""Chunkers of the labelled corpora's README § 3 b, with exact offsets."""
