"""A collector of traces on loopback, which speaks OTLP over HTTP."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.doubles.deployment import served


@dataclass
class Collector:
    url: str = ""
    spans: list[Span] = field(default_factory=list)
    raw: bytes = b""

    async def take(self, request: Request) -> Response:
        body = await request.body()
        body = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
        self.raw += body
        export = ExportTraceServiceRequest.FromString(body)
        self.spans += [span for sent in export.resource_spans for scope in sent.scope_spans for span in scope.spans]
        return Response(media_type="application/x-protobuf")

    def way_to(self, name: str) -> list[str]:
        """Return the names of the spans that the one called *name* stands in, the outermost first."""
        by_id = {span.span_id: span for span in self.spans}
        span = next((span for span in self.spans if span.name == name), None)
        names: list[str] = []
        while span is not None:
            names.insert(0, span.name)
            span = by_id.get(span.parent_span_id)
        return names


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Collect for the block."""
    collector = Collector()
    app = Starlette(routes=[Route("/v1/traces", collector.take, methods=["POST"])])
    async with served(app, lambda: None) as url:
        collector.url = url
        yield collector
