"""Read by every Python that starts with this folder on its path: the workers of a watched call."""

import os

if os.environ.get("FAULTS_WATCH"):
    import watch

    watch.install()
