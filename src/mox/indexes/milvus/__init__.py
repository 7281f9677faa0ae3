"""Milvus, embedded as Milvus Lite or by URI: HNSW, IVF and their like, verified after building."""
