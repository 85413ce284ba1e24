"""Searching the guidelines and templates, reading them, and completing what they and the prompts take."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from mcp import Client
from mcp.types import PromptReference, ResourceTemplateReference

from mcp_convex.server.place import find_asset
from mcp_convex.services.docs import DocService
from mcp_convex.services.templates import NAMES, TemplateService
from mcp_convex.store.passages import FtsPassageIndex
from tests.world import World, make_settings

pytestmark = pytest.mark.anyio

QUESTIONS = {
    "how do I paginate a query": "convex://guidelines/pagination",
    "withIndex range order of fields": "convex://guidelines/indexes",
    "unbounded collect too many documents": "convex://guidelines/limits",
    "verify webhook signature": "convex://guidelines/http",
    "use node fetch external api": "convex://guidelines/actions",
    "add a required field to existing documents": "convex://guidelines/schema",
    "getUserIdentity tokenIdentifier": "convex://guidelines/auth",
    "upload url storage": "convex://guidelines/file_storage",
    "cron runs every hour UTC": "convex://guidelines/crons_and_scheduling",
    "ConvexError client data": "convex://guidelines/errors",
    "convex-test vitest": "convex://guidelines/testing",
    "environment variables production deploy": "convex://guidelines/deployment",
    "internalMutation public function": "convex://guidelines/internal_functions",
    "transaction conflict patch replace": "convex://guidelines/mutations",
    "optional null validator union": "convex://guidelines/schema",
    "who is online presence": "convex://templates/presence",
    "clerk": "convex://templates/clerk",
    "likes on posts": "convex://templates/paginated_feed",
    "openai chat completions": "convex://templates/ai_action",
}


@pytest.fixture(params=["auto", "legacy"])
async def world(request, tmp_path):
    """A server that offers what it does not by default."""
    settings = make_settings(tmp_path, toolsets="files,docs")
    async with Client(World.server(settings), mode=request.param) as client:
        yield World(client=client, settings=settings, era=request.param)


@pytest.mark.parametrize(("question", "page"), QUESTIONS.items())
def test_a_question_finds_its_page_among_the_first_three(question, page):
    found = docs().search(question, 3)

    assert page in [hit.uri for hit in found.hits]
    assert all(len(hit.text) < 1000 for hit in found.hits)


def docs() -> DocService:
    templates = TemplateService(find_asset("resources/templates"), files=None)
    return DocService(find_asset("resources/guidelines"), templates, FtsPassageIndex)


def test_the_first_search_reads_all_pages_in_less_than_half_a_second():
    docs().search("warm up", 1)
    took = []
    for _ in range(3):
        service, began = docs(), time.perf_counter()
        service.search("unique index", 5)
        took.append(time.perf_counter() - began)

    assert min(took) < 0.5


@pytest.mark.parametrize("query", ['"', "a AND NOT (", "* - ^ :", "NEAR(", "\x00", "💥"])
def test_no_query_is_an_error(query):
    assert len(docs().search(query, 5).hits) <= 5


async def test_hits_name_pages_and_a_pages_uri_gives_it_whole(world):
    result = await world.call("search_docs", query="serve private file", limit=1)
    (hit,) = result.structured_content["hits"]
    assert f"File storage: Rules ({hit['uri']})\n{hit['text']}" == result.content[0].text
    (page,) = (await world.content("search_docs", query=hit["uri"]))["hits"]
    read = await world.client.read_resource(hit["uri"])

    assert page["text"] == read.contents[0].text
    assert "text/markdown" == read.contents[0].mime_type
    assert "not_found" == await world.code("search_docs", query="convex://guidelines/nothing")


async def test_every_page_is_listed_and_can_be_read(world):
    resources = {str(resource.uri) for resource in (await world.client.list_resources()).resources}
    for index in ("convex://guidelines", "convex://templates"):
        assert index in resources
        listed = re.findall(r"`(convex://\w+/\w+)`", (await world.client.read_resource(index)).contents[0].text)
        assert len(listed) >= 10
        for uri in listed:
            assert (await world.client.read_resource(uri)).contents[0].text.startswith("# ")
            assert uri in resources


async def completed(world, ref, argument, typed=""):
    return (await world.client.complete(ref, {"name": argument, "value": typed})).completion.values


async def test_arguments_are_completed_from_what_there_is(world):
    await world.write({"convex/tasks.ts": "export {};\n"})
    page = ResourceTemplateReference(uri="convex://guidelines/{topic}")
    template = ResourceTemplateReference(uri="convex://templates/{template}")
    file = PromptReference(name="review_for_security")
    auth = PromptReference(name="add_auth")

    assert ["indexes", "internal_functions"] == (await completed(world, page, "topic", "in"))[:2]
    assert sorted(NAMES) == sorted(await completed(world, template, "template"))
    assert ["convex/tasks.ts"] == await completed(world, file, "path", "TASKS")
    assert ["clerk", "convex_auth"] == await completed(world, auth, "provider")
    assert [] == await completed(world, PromptReference(name="add_a_table_safely"), "table", "c")


def test_what_is_read_stands_in_the_package():
    package = Path(find_asset.__code__.co_filename).parents[1]

    assert find_asset("resources/guidelines").is_relative_to(package)
