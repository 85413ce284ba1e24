"""The file tools, through the protocol, on a real directory."""

from __future__ import annotations

import hashlib

import pytest

pytestmark = pytest.mark.anyio


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


async def test_many_files_are_written_in_one_call_and_listed(world):
    written = await world.content(
        "write_files",
        changes=[{"path": "lib/a.ts", "content": "export {};\n"}, {"path": "src/b.ts", "content": "b"}],
    )

    assert ["created", "created"] == [change["action"] for change in written["changes"]]
    assert "export {};\n" == (world.workspace / "lib/a.ts").read_text()
    listed = {entry["path"]: entry for entry in (await world.content("list_files"))["files"]}
    assert digest("b") == listed["src/b.ts"]["sha256"]
    assert not [path for path in listed if path.startswith("node_modules")]


async def test_an_edit_replaces_text_that_stands_there_once(world):
    await world.write({"lib/edit.ts": "one\ntwo\none\n"})

    result = await world.content("write_files", changes=[{"path": "lib/edit.ts", "old": "two", "new": "2"}])
    assert ("updated", digest("one\n2\none\n")) == (result["changes"][0]["action"], result["changes"][0]["sha256"])

    for old in ("one", "three", ""):
        change = {"path": "lib/edit.ts", "old": old, "new": "x"}
        assert "edit_mismatch" == await world.code("write_files", changes=[change])
    assert "one\n2\none\n" == (world.workspace / "lib/edit.ts").read_text()


async def test_edits_of_one_file_are_made_one_after_the_other_or_none_of_them(world):
    await world.write({"lib/edits.ts": "one\ntwo\n"})
    edits = [
        {"path": "lib/edits.ts", "old": "one", "new": "two"},
        {"path": "lib/edits.ts", "old": "two\ntwo", "new": "2"},
    ]

    (changed,) = (await world.content("write_files", changes=edits))["changes"]
    assert ("updated", digest("2\n")) == (changed["action"], changed["sha256"])

    again = [{"path": "lib/edits.ts", "old": "2", "new": "3"}, {"path": "lib/edits.ts", "old": "2", "new": "4"}]
    assert "edit_mismatch" == await world.code("write_files", changes=again)
    assert "2\n" == (world.workspace / "lib/edits.ts").read_text()


async def test_one_refused_change_leaves_all_of_them_undone(world):
    changes = [{"path": "lib/all.ts", "content": "x"}, {"path": "../out.ts", "content": "x"}]

    assert "path_refused" == await world.code("write_files", changes=changes)
    assert not (world.workspace / "lib/all.ts").exists()


@pytest.mark.parametrize(
    "path",
    [
        "../out.ts",
        "/etc/passwd",
        "convex/../../out.ts",
        "convex/_generated/api.ts",
        ".env.local",
        ".env",
        "convex/.env",
        "node_modules/convex/x.js",
        "convex\\messages.ts",
        "convex//messages.ts",
        ".git/hooks/pre-commit",
        "package-lock.json",
        "convex/a\u0000.ts",
    ],
)
async def test_paths_outside_the_sources_are_refused(world, path):
    assert "path_refused" == await world.code("write_files", changes=[{"path": path, "content": "x"}])


async def test_a_link_is_never_followed_out_of_the_workspace(world, tmp_path):
    (tmp_path / "secret.txt").write_text("not yours")
    (world.workspace / "linked").symlink_to(tmp_path)

    try:
        assert "path_refused" == await world.code("write_files", changes=[{"path": "linked/x.ts", "content": "x"}])
        assert "error" in (await world.call("read_file", path="linked/secret.txt")).structured_content
        assert not (tmp_path / "x.ts").exists()
    finally:
        (world.workspace / "linked").unlink()


async def test_names_that_are_one_on_other_systems_are_refused(world):
    await world.write({"lib/case.ts": "x"})

    assert "path_refused" == await world.code("write_files", changes=[{"path": "lib/Case.ts", "content": "x"}])


async def test_a_change_based_on_what_no_longer_stands_there_is_refused(world):
    await world.write({"lib/base.ts": "mine\n"})
    read = await world.content("read_file", path="lib/base.ts")
    (world.workspace / "lib/base.ts").write_text("theirs\n")

    change = {"path": "lib/base.ts", "content": "mine, again\n"}
    base = {"lib/base.ts": read["sha256"]}
    assert "stale_base" == await world.code("write_files", changes=[change], base=base)
    assert "theirs\n" == (world.workspace / "lib/base.ts").read_text()


async def test_deleting_removes_the_file_and_a_missing_one_is_an_error(world):
    await world.write({"lib/gone.ts": "x"})
    change = {"path": "lib/gone.ts", "delete": True}

    result = await world.content("write_files", changes=[change])
    assert "deleted" == result["changes"][0]["action"]
    assert not (world.workspace / "lib/gone.ts").exists()
    assert "not_found" == await world.code("write_files", changes=[change])


async def test_a_change_of_two_kinds_and_a_file_changed_twice_are_refused(world):
    both = {"path": "lib/x.ts", "content": "x", "delete": True}
    assert "invalid_arguments" == await world.code("write_files", changes=[both])
    assert "valid array" in (await world.call("write_files", changes=both)).content[0].text
    whole = {"path": "lib/x.ts", "content": "x"}
    for other in ({**whole, "content": "y"}, {"path": "lib/x.ts", "old": "x", "new": "y"}):
        assert "invalid_arguments" == await world.code("write_files", changes=[whole, other])


async def test_a_file_beyond_the_bound_is_refused(world):
    changes = [{"path": "lib/huge.ts", "content": "x" * (1024 * 1024 + 1)}]

    assert "too_large" == await world.code("write_files", changes=changes)


async def test_a_file_is_read_by_lines(world):
    await world.write({"lib/lines.ts": "".join(f"line {n}\n" for n in range(1, 11))})

    read = await world.content("read_file", path="lib/lines.ts", first_line=3, last_line=4)

    assert ("line 3\nline 4\n", 3, 4, 10) == tuple(read[key] for key in ("content", "first_line", "last_line", "lines"))
    assert "not_found" == await world.code("read_file", path="lib/lines.ts", first_line=99)


async def test_a_file_that_is_no_text_is_said_to_be_none(world):
    (world.workspace / "logo.bin").write_bytes(b"\xff\xfe\x00\x01")

    assert "invalid_arguments" == await world.code("read_file", path="logo.bin")
