"""The prompts: with and without their arguments."""

from __future__ import annotations

import pytest
from mcp.types import PromptReference

pytestmark = pytest.mark.anyio


async def text_of(world, name, **arguments):
    return (await world.client.get_prompt(name, arguments)).messages[0].content.text


async def test_an_argument_stands_in_the_text_where_it_is_given(world):
    given = await text_of(world, "add_a_table_safely", table="comments", related_table="posts")
    without = await text_of(world, "add_a_table_safely")

    assert "Design `comments`:" in given
    assert "functions of\n   `posts`" in given
    assert "Design the table that the person asks for:" in without


async def test_every_prompt_can_be_asked_for_without_arguments_and_describes_those_that_it_takes(world):
    prompts = (await world.client.list_prompts()).prompts

    assert {"give_the_app_a_backend", "add_auth", "fix_a_failed_push", "review_for_security", "go_live"} <= {
        prompt.name for prompt in prompts
    }
    for prompt in prompts:
        text = await text_of(world, prompt.name)
        assert "{" not in text.replace("pushes/{id}", ""), prompt.name
        assert "Without it" not in text, prompt.name
        for argument in prompt.arguments or ():
            assert argument.description, prompt.name
            assert f"`{argument.name}-x`" in await text_of(world, prompt.name, **{argument.name: f"{argument.name}-x"})


@pytest.mark.parametrize("world", ["legacy"], indirect=True)  # completion is tried in both eras by test_docs
async def test_tables_and_failed_pushes_are_offered_for_completion(world):
    await world.hold({"convex/broken.ts": "export const x: number = 'text';\n"})
    failed = await world.call("push")
    await world.hold({})
    await world.content("push")

    async def completed(prompt, argument, typed):
        found = await world.client.complete(PromptReference(name=prompt), {"name": argument, "value": typed})
        return found.completion.values

    assert failed.structured_content["id"] in await completed("fix_a_failed_push", "push_id", "")
    assert ["notes"] == await completed("add_a_table_safely", "related_table", "no")
