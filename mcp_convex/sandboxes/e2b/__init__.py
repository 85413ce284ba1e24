"""Workspaces whose sandbox is a machine at E2B. The only speaker of E2B's SDK; slow to import, so nothing is, here."""
