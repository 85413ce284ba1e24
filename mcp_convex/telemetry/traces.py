"""Sends spans to where the operator's `OTEL_*` variables say, without what may hold a secret."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_convex import __version__
from mcp_convex.domain.errors import SettingsInvalid
from mcp_convex.domain.secrets import redact

try:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.trace import Status
except ImportError:
    raise SettingsInvalid(
        "Traces need packages that are not installed.", next_step="Install `mcp-convex[otel]`, or set traces to false."
    ) from None


def set_up() -> None:
    """Have every span of this process sent; those that wait are sent as it ends."""
    resource = Resource.create({SERVICE_NAME: "mcp-convex", SERVICE_VERSION: __version__})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(_Discreet(OTLPSpanExporter())))
    trace.set_tracer_provider(provider)


class _Discreet(SpanExporter):
    """Leaves out the texts of exceptions, which the SDK records where it knows no better, and masks the rest."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_discreet(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _discreet(span: ReadableSpan) -> ReadableSpan:
    attributes = {
        name: redact(value) if isinstance(value, str) else value for name, value in (span.attributes or {}).items()
    }
    return ReadableSpan(
        name=redact(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=(),
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
