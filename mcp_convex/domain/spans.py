"""
OpenTelemetry's spans, which show an operator who has asked for them what happens, step by step.

The API is made to be called from anywhere, and does nothing until `telemetry` installs the SDK. No argument, value or
secret goes into an attribute.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry.context import Context, get_current
from opentelemetry.trace import Span, SpanKind, StatusCode, get_current_span, get_tracer

from mcp_convex.domain.errors import ConvexMcpError

_tracer = get_tracer("mcp-convex")

here = get_current
"""Returns the context of the current span, for a task that continues its work."""
Attribute = str | int | float | bool


def note(**attributes: Attribute) -> None:
    """Add *attributes* to the current span."""
    get_current_span().set_attributes({f"mcp_convex.{name}": value for name, value in attributes.items()})


@contextmanager
def span(
    name: str, *, calls_out: bool = False, within: Context | None = None, **attributes: Attribute
) -> Generator[None]:
    """
    Run the block as the step *name*. Of what it raises, only the code or the type is recorded.

    Args:
        calls_out: The block calls another service.
        within: What `here` returned, to continue another span than the current one.
    """
    with _tracer.start_as_current_span(
        name,
        context=within,
        kind=SpanKind.CLIENT if calls_out else SpanKind.INTERNAL,
        attributes={f"mcp_convex.{name}": value for name, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as opened:
        try:
            yield
        except BaseException as exc:  # a step that was cancelled has not succeeded either
            opened.set_attribute("error.type", exc.code if isinstance(exc, ConvexMcpError) else type(exc).__name__)
            opened.set_status(StatusCode.ERROR)
            raise


class Steps:
    """Steps of the current span that follow one another, whichever task begins the next."""

    def __init__(self) -> None:
        self._within = here()
        self._open: Span | None = None

    def begin(self, name: str) -> None:
        """End the step before, and begin the step *name*."""
        self.end()
        self._open = _tracer.start_span(name, context=self._within)

    def end(self) -> None:
        """End the last one."""
        if self._open is not None:
            self._open.end()
            self._open = None
