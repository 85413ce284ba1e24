"""The file of tokens: what it may hold, and who may read it."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from mcp_convex.domain.errors import SettingsInvalid
from mcp_convex.identity.fixed import FixedTokens

pytestmark = pytest.mark.anyio

ALICE, BOB = "a" * 32, "b" * 32


def tokens(folder, text: str, mode: int = 0o600):
    file = folder / "tokens"
    file.write_text(text)
    file.chmod(mode)
    return FixedTokens.read(file, ["convex"])


async def test_each_token_names_its_principal_and_its_scopes(tmp_path):
    check = tokens(tmp_path, f"# who\n\nalice {ALICE}\nbob {BOB} convex:read\n")

    alice, bob = [await check.identify(SecretStr(token)) for token in (ALICE, BOB)]

    assert ("tokens-file alice", {"convex"}) == (alice.principal, alice.scopes)
    assert ("tokens-file bob", {"convex", "convex:read"}) == (bob.principal, bob.scopes)
    assert "unknown" == (await check.identify(SecretStr("c" * 32))).reason
    assert ALICE not in repr(vars(check))


@pytest.mark.parametrize(
    "text",
    ["", "# nobody\n", "alice\n", "alice short\n", f"alice {ALICE}\nbob {ALICE}\n", f"al/ice {ALICE}\n"],
)
def test_a_file_that_is_not_as_it_should_be_is_refused_and_not_repeated(tmp_path, text):
    with pytest.raises(SettingsInvalid) as refused:
        tokens(tmp_path, text)
    assert ALICE not in refused.value.message


def test_a_file_that_everybody_may_read_is_refused(tmp_path):
    with pytest.raises(SettingsInvalid):
        tokens(tmp_path, f"alice {ALICE}\n", 0o644)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SettingsInvalid):
        FixedTokens.read(tmp_path / "nowhere", ["convex"])
