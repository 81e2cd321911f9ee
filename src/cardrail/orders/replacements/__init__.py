"""Replacement of bad codes: a claim with its evidence, the supplier asked where it can be, another code or the money."""
