"""From a number back to what made it: hits, evidence, artifacts, settings and versions."""
