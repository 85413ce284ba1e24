"""Paths that tools may touch, and the many that they may not."""

from __future__ import annotations

import unicodedata

import pytest

from mcp_convex.domain import paths
from mcp_convex.domain.errors import InvalidArguments, PathRefused, TooLarge
from mcp_convex.domain.models import FilePath


@pytest.mark.parametrize(
    "path",
    [
        "convex/messages.ts",
        "package.json",
        "convex.json",
        "tsconfig.json",
        "src/app/[id]/(a)/page.tsx",
        "convex/größe.ts",
    ],
)
def test_an_ordinary_source_is_approved_as_it_stands(path: str) -> None:
    assert path == paths.approve(path)


def test_a_name_that_a_mac_spelled_apart_is_put_together() -> None:
    apart = unicodedata.normalize("NFD", "convex/größe.ts")
    assert "convex/größe.ts" == paths.approve(apart)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "C:/windows",
        "c:x",
        "../outside.ts",
        "convex/../../outside.ts",
        "convex/..",
        "./convex/a.ts",
        "convex//a.ts",
        "convex/",
        "convex\\a.ts",
        "convex/a\x00.ts",
        "convex/a\n.ts",
        "convex/a\u202e.ts",
        "convex/a\ud800.ts",
        "convex/a?.ts",
        "convex/a.ts ",
        "convex/a.",
        "convex/" + "a" * 300,
        "a/" * 300 + "a",
        "convex/_generated/api.js",
        "convex/_Generated/api.js",
        ".env",
        ".env.local",
        "apps/.env.production",
        ".git/config",
        ".npmrc",
        ".vscode/tasks.json",
        "node_modules/convex/package.json",
        "packages/a/Node_Modules/b/index.js",
        "package-lock.json",
        "apps/web/pnpm-lock.yaml",
    ],
)
def test_what_leads_out_or_decides_what_runs_is_refused(path: str) -> None:
    with pytest.raises(PathRefused) as caught:
        paths.approve(path)
    assert caught.value.message.isprintable()
    assert caught.value.next_step.endswith(".")


def collide(written: list[str], existing: list[str]) -> None:
    paths.check_collisions([FilePath(path) for path in written], [FilePath(path) for path in existing])


def test_files_with_names_of_their_own_stand_side_by_side() -> None:
    collide(["convex/a.ts", "convex/b.ts", "convex/sub/a.ts"], ["convex/a.ts", "convex/c.ts", "convex/sub/b.ts"])


@pytest.mark.parametrize(
    ("written", "existing"),
    [
        (["convex/a.ts", "convex/A.ts"], []),
        (["convex/Users.ts"], ["convex/users.ts"]),
        (["Convex/b.ts"], ["convex/a.ts"]),
        (["convex/straße.ts"], ["convex/STRASSE.ts"]),
        (["convex/\ufb01le.ts"], ["convex/file.ts"]),
        (["convex/a"], ["convex/a/b.ts"]),
        (["convex/a/b.ts"], ["convex/a"]),
        (["convex/a", "convex/a/b.ts"], []),
    ],
)
def test_names_that_some_systems_take_for_one_are_refused(written: list[str], existing: list[str]) -> None:
    with pytest.raises(PathRefused):
        collide(written, existing)


def test_a_file_beyond_the_bound_is_refused() -> None:
    paths.check_content(FilePath("convex/a.ts"), b"x" * paths.LARGEST_FILE)
    with pytest.raises(TooLarge):
        paths.check_content(FilePath("convex/a.ts"), b"x" * (paths.LARGEST_FILE + 1))


@pytest.mark.parametrize("text", ["{}", '{"functions": "src/convex/"}', '{"functions": "./convex"}', '{"authKit": {}}'])
def test_a_convex_json_that_stays_inside_is_accepted(text: str) -> None:
    paths.check_content(FilePath("convex.json"), text.encode())


@pytest.mark.parametrize(
    "text",
    [
        '{"functions": "../outside/"}',
        '{"functions": "/etc/"}',
        '{"functions": "convex/../../outside"}',
        '{"functions": "node_modules/convex"}',
        '{"functions": ".git"}',
        '{"functions": ["convex"]}',
    ],
)
def test_a_convex_json_whose_functions_lie_outside_is_refused(text: str) -> None:
    with pytest.raises(PathRefused):
        paths.check_content(FilePath("convex.json"), text.encode())


@pytest.mark.parametrize("text", ["", "[]", "functions", '{"a": 1,}'])
def test_a_convex_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidArguments):
        paths.check_content(FilePath("convex.json"), text.encode())
