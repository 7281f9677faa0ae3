"""Releases: the chosen trial made portable, verified when it is opened, asked questions."""
