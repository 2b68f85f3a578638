"""Providers on a worker: what a lock file says, the cache, and where the tools install from."""
