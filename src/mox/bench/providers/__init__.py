"""Providers under load: latency, throughput, errors and cost, by a client that measures itself."""
