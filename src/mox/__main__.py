"""`python -m mox`: the command line."""

from mox.cli import main

if __name__ == "__main__":
    main()
