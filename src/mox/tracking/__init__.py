"""The MLflow mirror: what of a run is written where, and the report that a lead reads.

The store is the truth. `mlflow` is imported inside functions only, and not at all for a run
that is mirrored already.
"""
