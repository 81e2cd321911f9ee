"""Servers running as real processes, asked over HTTP, killed and started again: what the README promises, shown."""
