"""Reading and listing the declared resources, which reach the services in both: the SDK's own cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from inspect import getdoc

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.shared.uri_template import UriTemplate
from mcp.types import Resource, ResourceTemplate
from pydantic import BaseModel

from mcp_convex.boundary.hosting import Serving
from mcp_convex.boundary.spec import ResourceSpec
from mcp_convex.domain.models import FileEntry

LISTED_FILES = 200
"""The most files that a listing names; the tool `list_files` shows all of them."""


class Resources:
    """The resources of one server."""

    def __init__(self, specs: Callable[[], Sequence[ResourceSpec]]) -> None:
        self._specs = specs

    @cached_property
    def _fixed(self) -> list[ResourceSpec]:
        return [spec for spec in self._specs() if "{" not in spec.uri]

    @cached_property
    def _templates(self) -> list[tuple[UriTemplate, ResourceSpec]]:
        return [(UriTemplate.parse(spec.uri), spec) for spec in self._specs() if "{" in spec.uri]

    async def listed(self, serving: Serving) -> list[Resource]:
        """Return the fixed resources, the pages and the workspace's files, as far as the call may read them."""
        fixed = [
            Resource(
                uri=spec.uri,
                name=spec.fn.__name__,
                title=spec.title,
                description=getdoc(spec.fn),
                mime_type=spec.mime_type,
            )
            for spec in self._fixed
            if serving.shows(spec.toolset)
        ]
        services = await serving.services.get()
        pages = [
            Resource(uri=page.uri, name=page.uri, title=page.title, description=page.purpose, mime_type="text/markdown")
            for page in services.docs.pages
        ]
        files = await services.files.list() if serving.shows("files") else ()
        return [*fixed, *pages, *(_file(file) for file in files[:LISTED_FILES])]

    def templates(self, serving: Serving) -> list[ResourceTemplate]:
        """Return the resources whose URI has parameters, as far as the call may read them."""
        return [
            ResourceTemplate(
                uri_template=spec.uri,
                name=spec.fn.__name__,
                title=spec.title,
                description=getdoc(spec.fn),
                mime_type=spec.mime_type,
            )
            for _, spec in self._templates
            if serving.shows(spec.toolset)
        ]

    async def read(self, uri: str, serving: Serving) -> ReadResourceContents:
        """
        Return what stands at *uri*.

        Raises:
            ResourceNotFoundError: No resource that the call may read has that URI.
        """
        spec, parameters = self._find(uri)
        if not serving.shows(spec.toolset):
            raise _unknown(uri)
        found = await spec.fn(await serving.services.get(), **parameters)
        text = found.model_dump_json(indent=2) if isinstance(found, BaseModel) else found
        return ReadResourceContents(content=text, mime_type=spec.mime_type)

    def _find(self, uri: str) -> tuple[ResourceSpec, dict[str, str]]:
        for spec in self._fixed:
            if spec.uri == uri:
                return spec, {}
        for template, spec in self._templates:
            if (found := template.match(uri)) is not None:
                return spec, {name: str(value) for name, value in found.items()}
        raise _unknown(uri)


def _file(file: FileEntry) -> Resource:
    return Resource(uri=f"convex://files/{file.path}", name=file.path, mime_type="text/plain", size=file.size)


def _unknown(uri: str) -> ResourceNotFoundError:
    return ResourceNotFoundError(f"Unknown resource: {uri}")
