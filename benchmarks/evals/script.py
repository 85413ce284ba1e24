"""The scripted agent: makes the calls that a task file lists, and is content with the answers that it foresees."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from benchmarks.evals.fitting import Misfit, filled, fit, shown
from benchmarks.evals.hands import Answer, Hands, outcome_of
from benchmarks.evals.tasks import Edit, Push, Reading, Removal, Step, ToolCall, Write


async def replay(script: tuple[Step, ...], hands: Hands, known: dict[str, Any]) -> None:
    """
    Make every call of *script*; what it says to save goes into *known*, and later calls may name it.

    Raises:
        Misfit: An answer is none that the script goes on from.
    """
    for number, step in enumerate(script, 1):
        try:
            await _take(step, hands, known)
        except Misfit as exc:
            raise Misfit(f"step {number}, {exc}") from None


@singledispatch
async def _take(step: Any, _hands: Hands, _known: dict[str, Any]) -> None:
    raise NotImplementedError(step)


@_take.register
async def _write(step: Write, hands: Hands, _known: dict[str, Any]) -> None:
    answer = await hands.call("write_files", {"changes": [_change(path, to) for path, to in step.write.items()]})
    _must_answer("write_files", answer)
    if step.expect is not None:
        fit(step.expect, answer.data, "write_files")
        return
    if errors := [found for found in answer.data["diagnostics"] if found["severity"] == "error"]:
        raise Misfit(f"write_files finds errors: {shown(errors)}")


@_take.register
async def _push(step: Push, hands: Hands, known: dict[str, Any]) -> None:
    answer = await hands.call("push", step.args)
    _must_answer("push", answer)
    try:
        fit(step.push or {"outcome": "pushed"}, answer.data, "push")
    except Misfit as exc:
        raise Misfit(f"{exc}\n    {answer.text}") from None
    if step.save:
        known[step.save] = answer.data


@_take.register
async def _call(step: ToolCall, hands: Hands, known: dict[str, Any]) -> None:
    answer = await hands.call(step.tool, filled(step.args, known))
    if step.refused is None:
        _must_answer(step.tool, answer)
        fit(filled(step.expect, known), answer.data, step.tool)
    else:
        fit({"error": {"code": step.refused}}, answer.data, step.tool)
    if step.save:
        known[step.save] = answer.data


@_take.register
async def _read(step: Reading, hands: Hands, known: dict[str, Any]) -> None:
    answer = await hands.read(filled(step.resource, known))
    _must_answer(step.resource, answer)
    fit(filled(step.expect, known), answer.data, step.resource)
    if step.save:
        known[step.save] = answer.data


def _must_answer(what: str, answer: Answer) -> None:
    if answer.is_error and outcome_of(answer) is None:
        raise Misfit(f"{what} fails: {shown(answer.text)}")


def _change(path: str, to: str | Edit | Removal) -> dict[str, Any]:
    return {"path": path, **({"content": to} if isinstance(to, str) else to.model_dump())}
