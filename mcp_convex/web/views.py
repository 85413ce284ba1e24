"""What the pages say, in plain HTML: no script, no picture, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from mcp_convex.domain.connections import Connection, PendingPage, Scope, Team
from mcp_convex.services.grants import DECLINED, Offer, Way
from mcp_convex.web.html import Html, element, joined

STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
STYLE_HASH = f"sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}"

_ACCESS: dict[Scope, str] = {
    "team": "Everything that you may do in one team of yours: its projects, their deployments and data, and creating"
    " more of them",
    "project": "Everything that you may do in one project of yours, which you choose: its deployments and their data",
}
GO_BACK = "You can close this page and go back to your assistant."


def document(title: str, *content: Html) -> str:
    """Return a whole page."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} · mcp-convex"),
        element("style", Html(STYLE)),
    )
    body = element("body", element("main", element("h1", title), *content))
    return f"<!doctype html>{element('html', head, body, lang='en')}"


def message(title: str, *sentences: str, link: tuple[str, str] | None = None, bad: bool = False) -> str:
    """Return a page that only says something; *link* is a text and where it leads."""
    said = [element("p", sentence, class_="bad" if bad and at == 0 else None) for at, sentence in enumerate(sentences)]
    more = [element("p", element("a", link[0], href=link[1], class_="button"))] if link else []
    return document(title, *said, *more)


def consent(page: PendingPage, offer: Offer, *, token: str, convex: str) -> str:
    """Return the page that asks whether to connect; *convex* is the URL of the dashboard."""
    facts = _facts(
        ("Asked by", page.subject.get("asked_by") or "an assistant that gives no name"),
        ("For the workspace", page.workspace),
        ("Access", _ACCESS[offer.connection.scope]),
        ("Convex", urlsplit(convex).netloc),
    )
    promise = element(
        "p",
        "The access is kept encrypted by mcp-convex on this machine. The assistant uses it through mcp-convex and never"
        " sees it. To end it, ask the assistant to disconnect.",
    )
    ways = [_WAYS[way](token) for way in offer.ways]
    if "oauth" not in offer.ways:  # whose form has the button beside the other
        ways.append(_form(token, _buttons(_REFUSE)))
    return document("Connect your Convex account?", facts, promise, *ways, _not_you())


def choice(offer: Offer, teams: Sequence[Team], *, token: str) -> str:
    """Return the page that asks to which of its *teams* a login is to give access."""
    choices = (
        element(
            "label",
            element("input", type="radio", name="team", value=str(team.id), required=True),
            f"{team.name} ({team.slug})",
        )
        for team in teams
    )
    asked = element("fieldset", element("legend", "Team"), *choices)
    return document(
        "Which team?",
        element("p", "Your login opens several teams. The assistant gets access to one of them only."),
        _facts(("Access", _ACCESS[offer.connection.scope])),
        _form(token, asked, _buttons(_button("Connect this team", "cli_login"))),
        _form(token, _buttons(_REFUSE)),
    )


def secret(page: PendingPage, *, token: str) -> str:
    """Return the page on which the value of an env var is typed."""
    name = page.subject["name"]
    why = page.subject.get("why")
    facts = _facts(("For the workspace", page.workspace), ("Deployment", page.subject["deployment"]))
    reason = [element("p", "The assistant says why:"), element("blockquote", element("p", why))] if why else []
    return document(
        f"Set {name}",
        facts,
        *reason,
        _form(
            token,
            _lines("value", "Value", hint="It goes straight to the deployment. The assistant never sees it."),
            _buttons(_button("Save", "value"), _KEEP_UNSET),
        ),
        _not_you(),
    )


def outcome(connection: Connection) -> str:
    """Return the page that says how connecting ended."""
    match connection:
        case Connection(state="connected", team=team, project=project):
            facts = _facts(
                *([("Team", team.name)] if team else []),
                *([("Project", project.name)] if project else []),
            )
            return document("Connected to Convex", facts, element("p", GO_BACK))
        case Connection(state="connecting"):
            return message("Not finished yet", "Convex has not answered yet. Load this page again in a moment.")
        case Connection(reason=reason) if reason == DECLINED:
            return message("Not connected", "As you chose, nothing was connected.", GO_BACK)
        case _:
            again = "To try again, ask your assistant to connect." if connection.retryable else ""
            return message(
                "Not connected",
                connection.reason or "Connecting failed.",
                *([again] if again else []),
                GO_BACK,
                bad=True,
            )


def _oauth(token: str) -> Html:
    choose = element("p", "On the next page Convex asks you to choose and to confirm.", class_="soft")
    return _form(token, choose, _buttons(_button("Continue to Convex", "oauth"), _REFUSE))


def _cli_login(token: str) -> Html:
    return _form(
        token,
        element("h2", "Use the login of the Convex CLI"),
        element(
            "p",
            "The one that ",
            element("code", "npx convex login"),
            " keeps on this machine. A copy is kept, encrypted.",
        ),
        _buttons(_button("Use this login", "cli_login")),
    )


def _team_token(token: str) -> Html:
    return _form(
        token,
        element("h2", "Use an access token"),
        _field("token", "Access token", hint="From the Convex dashboard: Team Settings, Access tokens."),
        _buttons(_button("Connect with the token", "team_token")),
    )


def _deploy_key(token: str) -> Html:
    return _form(
        token,
        element("h2", "Use one deployment only"),
        _field("key", "Deploy key or admin key", hint="Not one for production."),
        _field("url", "Deployment URL", kind="url", hint="Only for a self-hosted deployment.", required=False),
        _buttons(_button("Use this deployment", "deploy_key")),
    )


_REFUSE = element("button", "Do not connect", type="submit", name="way", value="refuse", class_="quiet")
# Not held back by the empty field beside it.
_KEEP_UNSET = element(
    "button", "Do not set it", type="submit", name="way", value="refuse", class_="quiet", formnovalidate=True
)
_WAYS: Mapping[Way, Callable[[str], Html]] = {
    "oauth": _oauth,
    "cli_login": _cli_login,
    "team_token": _team_token,
    "deploy_key": _deploy_key,
}


def _not_you() -> Html:
    return element(
        "p", "If you have not just asked an assistant for this, close the page: nothing will happen.", class_="soft or"
    )


def _facts(*pairs: tuple[str, str]) -> Html:
    return element("dl", *(joined(element("dt", name), element("dd", value)) for name, value in pairs))


def _form(token: str, *content: Html) -> Html:
    # Without an action, a form goes to the page's own address.
    csrf = element("input", type="hidden", name="csrf", value=token)
    return element("form", csrf, *content, method="post", autocomplete="off")


def _field(name: str, label: str, *, hint: str, kind: str = "password", required: bool = True) -> Html:
    hinted = f"{name}-hint"
    return joined(
        element("label", label, for_=name),
        element("p", hint, id=hinted, class_="soft"),
        element(
            "input",
            id=name,
            name=name,
            type=kind,
            required=required,
            autocomplete="off",
            spellcheck="false",
            aria_describedby=hinted,
        ),
    )


def _lines(name: str, label: str, *, hint: str) -> Html:
    """Return a field for a secret that may have several lines, such as a private key. Its text is not legible."""
    hinted = f"{name}-hint"
    return joined(
        element("label", label, for_=name),
        element("p", hint, id=hinted, class_="soft"),
        element(
            "textarea",
            id=name,
            name=name,
            rows="3",
            required=True,
            autocomplete="off",
            autocapitalize="off",
            spellcheck="false",
            aria_describedby=hinted,
        ),
    )


def _buttons(*buttons: Html) -> Html:
    return element("div", *buttons, class_="buttons")


def _button(text: str, way: Way | str) -> Html:
    return element("button", text, type="submit", name="way", value=way)
