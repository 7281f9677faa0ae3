"""Results as they are shown: in a terminal, in a notebook, as charts and as JSON."""
