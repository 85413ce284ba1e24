"""Checks of the tokens that callers bring: an issuer's JWTs, tokens that the issuer is asked about, and fixed ones."""
