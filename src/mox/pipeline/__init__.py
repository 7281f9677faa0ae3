"""Stages, the plan that folds trials into them, the store of their results, and execution."""
