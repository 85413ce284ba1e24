"""However a one-off query is written, it arrives as a module that the deployment can run."""

import pytest

from mcp_convex.convex_api.one_off import one_off_module

PREAMBLE = 'import { query, internalQuery } from "convex:/_system/repl/wrappers.js";'


def test_a_complete_module_is_left_as_it_is():
    source = "import { query } from 'convex:/_system/repl/wrappers.js';\nexport default query({ handler: () => 1 });"

    assert source == one_off_module(source)


@pytest.mark.parametrize(
    "line",
    [
        'import { query } from "./_generated/server";\n',
        "import { query, mutation } from '../_generated/server.js'\n",
        "",
    ],
)
def test_a_module_as_a_file_of_the_app_has_it_gets_the_wrappers(line):
    """There is nothing else to import from where it runs."""
    rest = "export default query({ handler: async (ctx) => 1 });"

    module = one_off_module(line + rest)

    assert [PREAMBLE, rest] == [found for found in module.splitlines() if found]


@pytest.mark.parametrize(
    ("source", "body"),
    [
        ('await ctx.db.query("messages").take(5);', 'return (await ctx.db.query("messages").take(5));'),
        ("({ count: 1 })", "return (({ count: 1 }));"),
        ("const n = 1;\nreturn n;", "const n = 1;\n    return n;"),
        ("// how many\nreturn 1;", "// how many\n    return 1;"),
    ],
)
def test_an_expression_or_statements_become_the_handler(source, body):
    module = one_off_module(source)

    assert module == f"{PREAMBLE}\nexport default query({{\n  handler: async (ctx) => {{\n    {body}\n  }},\n}});\n"
