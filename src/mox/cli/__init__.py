"""The command line."""

from mox.cli.app import main

__all__ = ["main"]
