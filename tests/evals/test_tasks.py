"""Task files say what they have to say, or what is wrong with them is said plainly."""

from __future__ import annotations

import pytest

from benchmarks.evals.fitting import Misfit, filled, fit
from benchmarks.evals.tasks import TaskInvalid, load, load_all

TASK = """\
size: small
request: Something that is long enough to be a request.
script:
  - push:
holds:
  - table: notes
    count: 1
"""


def test_there_are_twenty_tasks_from_small_to_large():
    tasks = load_all()

    assert [f"{number:02}" for number in range(1, 21)] == [task.name[:2] for task in tasks]
    assert {"small", "medium", "large"} == {task.size for task in tasks}


def test_a_task_is_called_by_its_file_its_number_or_its_name():
    called = [load_all((name,))[0].name for name in ("07-file-upload", "07", "file-upload")]

    assert ["07-file-upload"] * 3 == called
    with pytest.raises(TaskInvalid, match=r"No task is called 99; there are 01-todo-list, "):
        load_all(("01", "99"))


@pytest.mark.parametrize(
    ("said", "instead", "told"),
    [
        ("size: small", "size: huge", "size: Input should be 'small', 'medium' or 'large'"),
        ("  - push:", "  - pull:", "script.0: has exactly one of write, push, tool, resource"),
        ("  - push:", "  - {push: , tool: push}", "script.0: has exactly one of write, push, tool, resource"),
        ("    count: 1", "    cuont: 1", "holds.0.table.cuont: Extra inputs are not permitted"),
        ("holds:", "hold:", "holds: Field required\n  hold: Extra inputs are not permitted"),
        ("  - push:", "  [", "task.yaml is no YAML: while parsing"),
    ],
)
def test_what_is_wrong_with_a_task_file_is_said_with_its_place(tmp_path, said, instead, told):
    (tmp_path / "task.yaml").write_text(TASK)
    assert "task" == load(tmp_path / "task.yaml").name

    (tmp_path / "task.yaml").write_text(TASK.replace(said, instead))
    with pytest.raises(TaskInvalid) as caught:
        load(tmp_path / "task.yaml")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": None}, {}),
        ([{"a": 1}], [{"a": 1, "b": 2}]),
        ({"$has": [{"a": 1}, {"a": 2}]}, [{"a": 2}, {"a": 0}, {"a": 1}]),
        ({"$has": ["b", "a"]}, "ab"),
        ({"$length": 2}, [0, 0]),
        (3, 3.0),
    ],
)
def test_what_is_not_named_does_not_matter(expected, found):
    fit(expected, found)


@pytest.mark.parametrize(
    ("expected", "found", "told"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "it.a.b is 2, not 1"),
        ({"a": 1}, None, 'it is null, not {"a": 1}'),
        ([1], [1, 2], "it is [1, 2], not [1]"),
        ([1, 2], [2, 1], "it.0 is 2, not 1"),
        ({"$has": [{"a": 1}]}, [{"a": 2}], 'it has no {"a": 1}: [{"a": 2}]'),
        ({"$has": ["c"]}, "ab", 'it does not say "c": "ab"'),
        ({"$length": 0}, None, "it has not 0 entries: null"),
        (True, 1, "it is 1, not true"),
        (0, False, "it is false, not 0"),
    ],
)
def test_what_does_not_fit_is_named(expected, found, told):
    with pytest.raises(Misfit) as caught:
        fit(expected, found)
    assert told == str(caught.value)


def test_names_stand_for_what_is_known():
    known = {"page": {"ids": ["a", "b"], "next": 2}}

    assert {"ids": ["a", "b"], "b": "b", "text": "2 of b"} == filled(
        {"ids": "${page.ids}", "b": "${page.ids.1}", "text": "${page.next} of ${page.ids.1}"}, known
    )
    for name in ("${nothing}", "${page.ids.7}", "${page.next.more}"):
        with pytest.raises(Misfit, match="is not known"):
            filled(name, known)
