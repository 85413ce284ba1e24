"""What a deployment takes as an env var, and what looks like a secret."""

from __future__ import annotations

import pytest

from mcp_convex.domain.env_vars import EnvVar, check_name, check_totals, check_value, listed, secret_reason
from mcp_convex.domain.errors import InvalidArguments, TooLarge

PLAIN = {
    "SITE_URL": "http://localhost:5173",
    "LOG_LEVEL": "debug",
    "OPENAI_MODEL": "gpt-4o-mini-2024-07-18",
    "DEFAULT": "claude-3-5-sonnet-20241022",
    "MAX_TOKENS": "4096",
    "USE_API_KEYS": "true",
    "AUTH_GITHUB_ID": "Ov23li8Kd0A9sJ2kQx7z",
    "AUTH_GOOGLE_ID": "123456789012-abcdefghijklmnop0123456789abcdef.apps.googleusercontent.com",
    "CLERK_JWT_ISSUER_DOMAIN": "https://verb-noun-00.clerk.accounts.dev",
    "CALLBACK": "https://happy-otter-123.convex.site/api/auth/callback/github",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_51H8abcdefghijklmnop",
    "TENANT": "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "GREETING": "Hello, Ünïcödé world, this is a long sentence with 3 numbers: 1, 2, 3",
    "MONKEYS": "many",
    "EMPTY": "",
}
SECRET = {
    "OPENAI_API_KEY": "abc",
    "API_KEYS": "a,b",
    "DB_PASSWORD": "1234",
    "GITHUB_TOKEN": "x1y2",
    "AUTH_GITHUB_SECRET": "q",
    "STRIPE_WEBHOOK": "x",
    "A": "-----BEGIN PRIVATE KEY----- MIIE",
    "B": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4",
    "C": "dev:happy-otter-123|eyJ2MiI6abcd",
    "D": "postgres://app:hunter2@db.example/app",
    "E": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "F": "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA==",
    "G": "https://hooks.example/services/T00000000/B00000000/XyZ12abCdEf34GhIjKl56MnO",
    "H": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "I": "AKIAIOSFODNN7EXAMPLE",
    "J": "Jx9-Kd_2mQ7vLp0zTn4wYb8cRf1hGs6e",
    "NEXT_PUBLIC_STRIPE": "sk_live_abcdefgh1",
}


@pytest.mark.parametrize(("name", "value"), PLAIN.items())
def test_what_is_not_secret_may_be_set(name, value):
    assert None is secret_reason(name, value)


@pytest.mark.parametrize(("name", "value"), SECRET.items())
def test_what_looks_secret_is_told_so_without_being_repeated(name, value):
    reason = secret_reason(name, value)

    assert reason
    assert value not in reason.split()


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "Ä", "A" * 257, "A\n", "sk_live_abcdefgh123"])
def test_a_name_that_convex_would_not_take_is_refused_and_not_repeated(name):
    with pytest.raises(InvalidArguments) as caught:
        check_name(name)

    assert not name or name not in caught.value.message


@pytest.mark.parametrize("name", ["CONVEX_CLOUD_URL", "CONVEX_SITE_URL"])
def test_what_convex_manages_is_refused(name):
    with pytest.raises(InvalidArguments, match="by Convex itself"):
        check_name(name)


def test_the_limits_are_those_of_convex():
    check_name("_" * 256)
    check_value("A", "ä" * 4096)
    check_totals([f"A{number}" for number in range(511)], {"B": 1})
    check_totals([f"A{number}" for number in range(512)], {"A0": 1})

    with pytest.raises(TooLarge):
        check_value("A", "ä" * 4097)
    with pytest.raises(TooLarge):
        check_totals([f"A{number}" for number in range(512)], {"B": 1})
    with pytest.raises(TooLarge):
        check_totals([], {f"A{number}": 8192 for number in range(64)})


def test_a_list_joins_what_is_set_what_is_needed_and_what_is_managed():
    needed = [
        EnvVar(name="A", is_set=False, needed_by="convex/auth.config.ts"),
        EnvVar(name="B", is_set=False, needed_by="convex/convex.config.ts", optional=True),
        EnvVar(name="CONVEX_SITE_URL", is_set=False, needed_by="convex/auth.config.ts"),
    ]

    found = {each.name: each for each in listed(["A", "Z"], needed)}

    assert ["A", "B", "CONVEX_CLOUD_URL", "CONVEX_SITE_URL", "Z"] == list(found)
    assert [True, False, True, True, True] == [each.is_set for each in found.values()]
    assert (True, "convex/auth.config.ts") == (found["CONVEX_SITE_URL"].managed, found["CONVEX_SITE_URL"].needed_by)
