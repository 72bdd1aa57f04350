"""The benchmarks' own arithmetic: plain functions on windows in seconds, answers and embeddings."""
