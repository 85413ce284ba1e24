"""Convex over HTTP: deployments, the management API and OAuth. Only `broker` and `identity` send HTTP beside it."""
