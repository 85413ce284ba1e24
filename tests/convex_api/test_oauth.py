"""Convex's OAuth endpoints: the URL that a browser is sent to, and the exchange of what it brings back."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import SecretStr

from mcp_convex.convex_api.cli_login import CliLoginFile
from mcp_convex.convex_api.oauth import HttpOAuthApi, OAuthApplication
from mcp_convex.domain import errors
from mcp_convex.domain.secrets import VerifierValue
from tests.doubles.cloud import approve, fake_cloud
from tests.doubles.deployment import Answers, Babbles, BreaksOff, HangsUp, Says

pytestmark = pytest.mark.anyio

CALLBACK = "http://localhost:8976/convex/callback"
VERIFIER = "canary-verifier-0123456789-0123456789-0123456789"
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


@pytest.fixture
async def cloud():
    async with fake_cloud() as cloud:
        cloud.add_project(cloud.add_team(), "shop")
        cloud.consent.redirect_uris.add(CALLBACK)
        yield cloud


@pytest.fixture
async def oauth(cloud):
    api = api_of(cloud)
    yield api
    await api.close()


def api_of(cloud, secret=None):
    return HttpOAuthApi(
        OAuthApplication(
            client_id=cloud.consent.client_id,
            client_secret=SecretStr(secret or cloud.consent.client_secret),
            dashboard_host=cloud.url,
            provision_host=cloud.url,
        )
    )


async def code_of(oauth, scope="team", choice="acme"):
    url = oauth.authorize_url(scope=scope, redirect_uri=CALLBACK, state="st4te", challenge=CHALLENGE)
    query = dict(parse_qsl(urlsplit(await approve(url, choice)).query))
    assert "st4te" == query["state"]
    return query["code"]


async def exchange(oauth, code, *, verifier=VERIFIER, redirect_uri=CALLBACK):
    return await oauth.exchange(code, redirect_uri=redirect_uri, verifier=VerifierValue(SecretStr(verifier)))


@pytest.mark.parametrize(
    ("scope", "choice", "prefix"), [("team", "acme", "team:acme|"), ("project", "acme/shop", "project:acme:shop|")]
)
async def test_a_code_becomes_the_token_of_what_was_chosen(oauth, scope, choice, prefix):
    token = await exchange(oauth, await code_of(oauth, scope, choice))

    assert token.get_secret_value().startswith(prefix)
    assert prefix not in repr(token)


async def test_the_secret_goes_in_the_body_and_never_in_an_address(cloud, oauth):
    await exchange(oauth, await code_of(oauth))

    (asked,) = cloud.asked("token")
    assert "application/x-www-form-urlencoded" == asked.headers["content-type"]
    assert (cloud.consent.client_secret, VERIFIER) == (asked.body["client_secret"], asked.body["code_verifier"])
    assert cloud.consent.client_secret not in repr(oauth._application)


async def test_a_code_is_good_once(oauth):
    code = await code_of(oauth)
    await exchange(oauth, code)

    with pytest.raises(errors.CredentialRejected):
        await exchange(oauth, code)


async def test_another_verifier_or_callback_gets_no_token(oauth):
    with pytest.raises(errors.CredentialRejected):
        await exchange(oauth, await code_of(oauth), verifier="x" * 48)
    with pytest.raises(errors.CredentialRejected):
        await exchange(oauth, await code_of(oauth), redirect_uri="http://localhost:1/")


async def test_an_expired_code_gets_no_token(cloud, oauth):
    code = await code_of(oauth)
    cloud.consent.skipped_s = 601

    with pytest.raises(errors.CredentialRejected):
        await exchange(oauth, code)


async def test_an_application_that_convex_does_not_know_is_the_operators_to_mend(cloud, oauth):
    stranger = api_of(cloud, secret="another")
    with pytest.raises(errors.SettingsInvalid) as refused:
        await exchange(stranger, await code_of(oauth))
    await stranger.close()

    assert "CONVEX_OAUTH_CLIENT_SECRET" in refused.value.next_step


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Says(403, "OperationNotPermitted"), errors.CredentialRejected),
        (Says(404), errors.CredentialRejected),
        (Says(429), errors.RateLimited),
        (Says(500), errors.ConvexUnreachable),
        (Says(503), errors.RateLimited),
        (Says(302, headers={"Location": "http://evil.example/"}), errors.UnexpectedAnswer),
        (HangsUp(applies=True), errors.OutcomeUnknown),
        (BreaksOff(applies=True), errors.OutcomeUnknown),
        (Babbles(), errors.UnexpectedAnswer),
        (Answers({"padding": "x" * 70_000}), errors.UnexpectedAnswer),
        (Answers({}), errors.UnexpectedAnswer),
        (Answers({"access_token": "", "token_type": "bearer"}), errors.UnexpectedAnswer),
        (Answers({"access_token": "prod:acme|c4n4ry", "token_type": "bearer"}), errors.UnexpectedAnswer),
        (Answers({"access_token": "team:acme|c4n4ry\r\nX: 1", "token_type": "bearer"}), errors.UnexpectedAnswer),
        (Answers({"access_token": "team:acme|c4n4ry", "token_type": "mac"}), errors.UnexpectedAnswer),
    ],
)
async def test_every_fault_is_a_named_error_and_a_code_is_tried_once(cloud, oauth, fault, error):
    cloud.always("token", fault)

    with pytest.raises(error) as raised:
        await exchange(oauth, await code_of(oauth))

    assert 1 == len(cloud.asked("token"))
    said = f"{raised.value} {raised.value.next_step} {raised.value.__cause__} {raised.value.__suppress_context__}"
    assert not [s for s in ("c4n4ry", VERIFIER, cloud.consent.client_secret) if s in said]


async def test_a_host_that_does_not_answer_is_unreachable(cloud):
    api = HttpOAuthApi(
        OAuthApplication(
            client_id="id",
            client_secret=SecretStr("secret"),
            dashboard_host="http://127.0.0.1:1",
            provision_host="http://127.0.0.1:1",
        )
    )
    with pytest.raises(errors.ConvexUnreachable):
        await exchange(api, "code")
    await api.close()


# --- the login of Convex's CLI -------------------------------------------------------------------------------------


async def test_the_login_of_the_cli_is_read_where_the_cli_keeps_it(tmp_path):
    login = CliLoginFile(tmp_path / ".convex")
    assert not login.exists()

    (tmp_path / ".convex").mkdir()
    (tmp_path / ".convex" / "config.json").write_text('{"accessToken": "c4n4ry", "optInsToAccept": []}')

    assert login.exists()
    assert "c4n4ry" == (await login.read()).get_secret_value()


@pytest.mark.parametrize("kept", [None, "", "{}", '{"accessToken": ""}', '{"accessToken": 7}', "c4n4ry"])
async def test_a_file_without_a_login_says_so_and_nothing_of_what_it_holds(tmp_path, kept):
    (tmp_path / ".convex").mkdir()
    if kept is not None:
        (tmp_path / ".convex" / "config.json").write_text(kept)

    with pytest.raises(errors.NotConnected) as refused:
        await CliLoginFile(tmp_path / ".convex").read()

    assert "c4n4ry" not in str(refused.value)
