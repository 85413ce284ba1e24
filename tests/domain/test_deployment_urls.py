"""A key goes only to what is plainly a deployment's origin, and not in clear text over the internet."""

import pytest

from mcp_convex.domain.deployment_urls import deployment_origin
from mcp_convex.domain.errors import InvalidArguments


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://convex.example.com", "https://convex.example.com"),
        (" https://Convex.Example.com:443/ ", "https://convex.example.com"),
        ("https://convex.example.com:8443", "https://convex.example.com:8443"),
        ("http://127.0.0.1:3210", "http://127.0.0.1:3210"),
        ("http://[::1]:3210/", "http://[::1]:3210"),
        ("http://localhost:80", "http://localhost"),
        ("http://backend:3210", "http://backend:3210"),
        ("http://192.168.1.5:3210", "http://192.168.1.5:3210"),
        ("http://convex.internal", "http://convex.internal"),
    ],
)
def test_a_url_becomes_an_origin(text, origin):
    assert origin == deployment_origin(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "convex.example.com",
        "ftp://convex.example.com",
        "https://",
        "https://key@convex.example.com",
        "https://convex.example.com/prefix",
        "https://convex.example.com?x=1",
        "https://convex.example.com#x",
        "https://convex.example.com:port",
        "https://convex.example.com:99999",
        "https://[::1",
        "https://cönvex.example",
        "http://convex.example.com",
        "http://8.8.8.8",
        "http://169.254.169.254",
        "https://a b.example",
        "https://a.example\nb",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(InvalidArguments):
        deployment_origin(text)
