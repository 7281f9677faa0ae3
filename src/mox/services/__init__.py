"""Servers on this machine that Mox starts and ends itself: what production has by URI."""
