"""pgvector in PostgreSQL, embedded or by URI: exact, HNSW and IVFFlat, verified after building."""
