"""What a task file says: a request, what there is before, what a scripted agent calls, and what must hold after it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

FOLDER = Path(__file__).parent / "tasks"


ANYTHING: dict[str, Any] = {"$has": []}
"""What every answer fits."""


class TaskInvalid(Exception):
    """A task file does not say what one has to say; the message names the file, the places and what is wrong there."""


class Words(BaseModel):
    """A part of a task file. What it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# --- what the scripted agent does ------------------------------------------------------------------------------------


class Edit(Words):
    old: str
    new: str


class Removal(Words):
    delete: Literal[True]


class Write(Words):
    """Writes files with `write_files`. Without *expect* no error may be found in them."""

    write: dict[str, str | Edit | Removal]
    expect: dict[str, Any] | None = None


class Push(Words):
    """Pushes. Without an expectation it has to go live."""

    push: dict[str, Any] | None
    args: dict[str, Any] = {}
    save: str | None = None


class ToolCall(Words):
    tool: str
    args: dict[str, Any] = {}
    expect: Any = ANYTHING
    refused: str | None = Field(default=None, description="The code of the error that it must answer with.")
    save: str | None = None


class Reading(Words):
    resource: str
    expect: Any = ANYTHING
    save: str | None = None


# --- what must hold --------------------------------------------------------------------------------------------------


class Run(Words):
    """A function answers, or throws, as said."""

    run: str
    args: dict[str, Any] = {}
    by: str = Field(
        default="anyone",
        description="`anyone` without a token, `admin`, a token such as `${ada.token}`, or somebody whom the "
        "deployment's administrator vouches for.",
    )
    times: int = Field(default=1, ge=1, description="`${n}` in the arguments counts them from 1.")
    returns: Any = None
    throws: str | None = None
    within_s: float = Field(default=0, le=30, description="Seconds in which it may become so.")
    save: str | None = None


class Rows(Words):
    """A table holds documents as said."""

    table: str
    count: int | None = None
    has: tuple[dict[str, Any], ...] = ()
    within_s: float = Field(default=0, le=30, description="Seconds in which it may become so.")


class Declared(Words):
    """The live schema declares a table with these fields, and an index that begins with these; or does not."""

    schema_of: str
    fields: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    absent: bool = False


class Live(Words):
    """A function is live as said."""

    live: str
    visibility: Literal["public", "internal", "absent"] = "public"
    kind: Literal["Query", "Mutation", "Action"] | None = None


class Signature(Words):
    """The hexadecimal HMAC-SHA256 of a text, which the headers name `${signature}`."""

    secret: str
    text: str


class Http(Words):
    """An HTTP action, or a URL that a function gave, answers as said."""

    http: str = Field(pattern=r"^(GET|POST|PUT|PATCH|DELETE|OPTIONS) \S+$")
    headers: dict[str, str] = {}
    body: str | None = None
    signed: Signature | None = None
    status: int = 200
    answers: Any = None
    save: str | None = None


class Source(Words):
    """A file of the workspace says something, or is not there."""

    file: str
    has: str | None = None
    absent: bool = False


# --- the task --------------------------------------------------------------------------------------------------------

_STEPS = ("write", "push", "tool", "resource")
_HOLDS = ("run", "table", "schema_of", "live", "http", "file")


def _step(value: Any) -> str | None:
    return _kind(_STEPS, value)


def _hold(value: Any) -> str | None:
    return _kind(_HOLDS, value)


def _kind(kinds: tuple[str, ...], value: Any) -> str | None:
    """Return which of *kinds* an entry is, by the key that only one of them has."""
    named = [kind for kind in kinds if isinstance(value, dict) and kind in value]
    return named[0] if len(named) == 1 else None


Step = Annotated[
    Annotated[Write, Tag("write")]
    | Annotated[Push, Tag("push")]
    | Annotated[ToolCall, Tag("tool")]
    | Annotated[Reading, Tag("resource")],
    Discriminator(
        _step,
        custom_error_type="step",
        custom_error_message=f"has exactly one of {', '.join(_STEPS)}",
    ),
]
Hold = Annotated[
    Annotated[Run, Tag("run")]
    | Annotated[Rows, Tag("table")]
    | Annotated[Declared, Tag("schema_of")]
    | Annotated[Live, Tag("live")]
    | Annotated[Http, Tag("http")]
    | Annotated[Source, Tag("file")],
    Discriminator(
        _hold,
        custom_error_type="hold",
        custom_error_message=f"has exactly one of {', '.join(_HOLDS)}",
    ),
]


class State(Words):
    """What is pushed before the agent comes, and the calls that give it rows."""

    files: dict[str, str]
    rows: tuple[Run, ...] = ()


class Person(Words):
    """What the person answers."""

    agrees: bool = True
    types: dict[str, str] = Field(default={}, description="Secret env vars that they know, by name.")


class Prompt(Words):
    """A prompt of the server that the person picks in their client; a model finds its text before the request."""

    name: str
    arguments: dict[str, str] = {}


class Task(Words):
    """One job for an agent, on a workspace and a deployment of its own."""

    name: str
    size: Literal["small", "medium", "large"]
    request: str = Field(min_length=20, description="What the person asks for, with the names that the holds rely on.")
    prompt: Prompt | None = None
    linked: bool = Field(default=False, description="To a deployment that is not for trying, as a self-hosted one.")
    outside: str | None = Field(default=None, description="What a service says that functions find at `${outside}`.")
    start: tuple[State, ...] = Field(default=(), description="States that were pushed one after the other.")
    person: Person = Person()
    script: tuple[Step, ...] = Field(min_length=1)
    holds: tuple[Hold, ...] = Field(min_length=1)


def load(path: Path) -> Task:
    """
    Read the task file at *path*, which names the task.

    Raises:
        TaskInvalid: It does not say what a task file has to say.
    """
    try:
        said = yaml.safe_load(path.read_text())
    except yaml.YAMLError as exc:
        raise TaskInvalid(f"{path.name} is no YAML: {exc}") from None
    if not isinstance(said, dict):
        raise TaskInvalid(f"{path.name} is no mapping.")
    try:
        return Task.model_validate({"name": path.stem, **said})
    except ValidationError as exc:
        places = [f"{'.'.join(map(str, error['loc'])) or 'the task'}: {error['msg']}" for error in exc.errors()]
        raise TaskInvalid("\n  ".join([f"{path.name} is no task:", *places])) from None


def load_all(names: tuple[str, ...] = (), folder: Path = FOLDER) -> list[Task]:
    """
    Read the tasks whose names begin or end with one of *names*; all of them without any.

    Raises:
        TaskInvalid: One is invalid, or a name fits none.
    """
    paths = sorted(folder.glob("*.yaml"))
    for name in names:
        if not any(_called(path, name) for path in paths):
            raise TaskInvalid(f"No task is called {name}; there are {', '.join(path.stem for path in paths)}.")
    return [load(path) for path in paths if not names or any(_called(path, name) for name in names)]


def _called(path: Path, name: str) -> bool:
    return path.stem == name or path.stem.partition("-")[0] == name or path.stem.partition("-")[2] == name
