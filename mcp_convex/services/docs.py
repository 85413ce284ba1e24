"""What this server knows of writing Convex code: guidelines and templates, whole and by search."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from pydantic import Field

from mcp_convex.domain.errors import NotFound
from mcp_convex.domain.models import Model
from mcp_convex.domain.ports import Passage, PassageIndex
from mcp_convex.services.templates import NAMES, TemplateService

_GUIDELINES = "convex://guidelines"
_TEMPLATES = "convex://templates"
_LEGEND = """\
Blocks marked `run` show calls and what they return; a name after `→ $` stands for that value from there on.
Ada and Bob are signed in, and `$project` is Ada's. All the code is one app, over the tables of the page `schema`.
It holds for convex 1.48; older versions lack some of it."""
_SECTION = re.compile(r"^## ", re.MULTILINE)


class Hit(Model):
    uri: str = Field(description="The page; given as `query`, it comes whole.")
    title: str
    text: str = Field(description="An excerpt, or the whole page.")


class Hits(Model):
    hits: tuple[Hit, ...]


class Page(Model):
    uri: str
    title: str
    purpose: str


class DocService:
    def __init__(
        self, guidelines: Path, templates: TemplateService, make_index: Callable[[Iterable[Passage]], PassageIndex]
    ) -> None:
        """Serve the pages in the folder *guidelines* and *templates*, indexed by *make_index* at the first search."""
        self._guidelines = guidelines
        self._templates = templates
        self._make_index = make_index

    def topics(self) -> tuple[str, ...]:
        """Return the guidelines' names."""
        return tuple(sorted(page.stem for page in self._guidelines.glob("*.md")))

    @cached_property
    def pages(self) -> tuple[Page, ...]:
        """Every page, the guidelines first."""
        guidelines = ((f"{_GUIDELINES}/{topic}", self.guideline(topic)) for topic in self.topics())
        templates = ((f"{_TEMPLATES}/{name}", self.template(name)) for name in NAMES)
        return tuple(_headed(uri, text) for uri, text in (*guidelines, *templates))

    def guidelines(self) -> str:
        """Return the list of the guidelines, in Markdown."""
        return f"# Guidelines for Convex\n\n{self._listed(_GUIDELINES)}\n\n{_LEGEND}\n"

    def guideline(self, topic: str) -> str:
        """
        Return a guideline, in Markdown.

        Raises:
            NotFound: There is none on *topic*.
        """
        if topic not in self.topics():
            raise NotFound(
                f"There is no guideline `{topic}`.", next_step=f"Read one of these: {', '.join(self.topics())}."
            )
        return (self._guidelines / f"{topic}.md").read_text(encoding="utf-8")

    def templates(self) -> str:
        """Return the list of the templates, in Markdown."""
        return f"# Templates\n\n{self._listed(_TEMPLATES)}\n"

    def template(self, name: str) -> str:
        """
        Return a template with all its files, in Markdown.

        Raises:
            NotFound: There is none of that name.
        """
        template = self._templates.get(name)
        files = [_block(f"convex/{path}", text) for path, text in template.files.items()]
        packages = [_block("package.json", template.package_json)] if template.package_json else []
        return "\n\n".join([f"# {template.title}", template.purpose, template.steps, *files, *packages]) + "\n"

    def search(self, query: str, limit: int) -> Hits:
        """
        Return pages with words of *query*, the best first, each with an excerpt; for a page's URI, that page.

        Raises:
            NotFound: No page has the URI.
        """
        if query.startswith("convex://"):
            return Hits(hits=(self._whole(query),))
        found = self._index.search(query, limit)
        return Hits(hits=tuple(Hit(uri=each.uri, title=each.title, text=each.text) for each in found))

    @cached_property
    def _index(self) -> PassageIndex:
        return self._make_index(self._passages())

    def _listed(self, root: str) -> str:
        return "\n".join(f"- `{page.uri}`: {page.purpose}" for page in self.pages if page.uri.startswith(root))

    def _whole(self, uri: str) -> Hit:
        root, _, name = uri.rpartition("/")
        read = {_GUIDELINES: self.guideline, _TEMPLATES: self.template}.get(root)
        if read is None:
            raise NotFound(f"No page has the URI `{uri}`.", next_step="Search by words; the hits have URIs.")
        text = read(name)
        return Hit(uri=uri, title=_headed(uri, text).title, text=text)

    def _passages(self) -> Iterator[Passage]:
        for topic in self.topics():
            first, *sections = _SECTION.split(self.guideline(topic))
            title = first.partition("\n")[0].removeprefix("# ")
            yield Passage(f"{_GUIDELINES}/{topic}", title, first)
            for section in sections:
                yield Passage(f"{_GUIDELINES}/{topic}", f"{title}: {section.partition(chr(10))[0]}", section)
        for template in map(self._templates.get, NAMES):
            uri, title = f"{_TEMPLATES}/{template.name}", f"Template: {template.title}"
            yield Passage(uri, title, f"{template.purpose}\n{template.steps}")
            for path, text in template.files.items():
                yield Passage(uri, f"{title}, convex/{path}", text)


def _headed(uri: str, text: str) -> Page:
    title, purpose, _ = text.split("\n\n", 2)
    return Page(uri=uri, title=title.removeprefix("# "), purpose=" ".join(purpose.split()))


def _block(path: str, text: str) -> str:
    language = path.rpartition(".")[2]
    return f"```{language} {path}\n{text}```"
