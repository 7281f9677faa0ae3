"""Milvus standalone from the binary that the `milvus` wheel carries: one process, no container."""
