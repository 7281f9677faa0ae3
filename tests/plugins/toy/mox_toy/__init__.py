"""A third party's back ends: a chunker, an embedder, and some that go wrong."""
