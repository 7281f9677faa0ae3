"""The chosen trial made portable: one file that says everything, registered and asked."""
