"""Which directories can be a workspace."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_convex.domain.errors import DirectoryUnusable
from mcp_convex.server.place import find_place
from mcp_convex.settings import load


def test_neither_the_root_nor_a_home_directory_is_a_workspace_though_clients_start_servers_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "app").mkdir()

    for place in (Path("/"), tmp_path, tmp_path / "app" / ".."):
        with pytest.raises(DirectoryUnusable, match="no app's directory"):
            find_place(load({"workspace": str(place)}, {}))

    assert tmp_path / "app" == find_place(load({"workspace": str(tmp_path / "app")}, {})).root
