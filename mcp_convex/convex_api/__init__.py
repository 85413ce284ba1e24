"""A deployment over HTTP: beside the broker, the only package that imports httpx2."""
