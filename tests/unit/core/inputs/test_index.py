"""The settings of package indexes in a request's `index-secret`."""

import base64

import pytest

from controller.core.errors import Invalid
from controller.core.inputs import index
from controller.core.model import Object


def secret(**data: str) -> Object:
    return {"data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}}


@pytest.mark.parametrize("key", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"])
@pytest.mark.parametrize("spell", [str.upper, str.lower])
def test_a_proxy_reaches_the_programs_of_a_build_in_both_spellings(key: str, spell: type[str]) -> None:
    found = index.settings(secret(**{spell(key): "http://proxy:3128"}), "index")
    assert index.variables(found.keys) == {key.upper(): spell(key), key.lower(): spell(key)}


def test_both_spellings_of_a_secret_stay_as_they_are() -> None:
    found = index.settings(secret(https_proxy="http://a", HTTPS_PROXY="http://b", UV_INDEX="x"), "index")
    assert index.variables(found.keys) == {key: key for key in ("HTTPS_PROXY", "UV_INDEX", "https_proxy")}


@pytest.mark.parametrize("key", ["Https_Proxy", "FTP_PROXY", "PROXY", "uv_index"])
def test_what_no_build_knows_is_refused(key: str) -> None:
    with pytest.raises(Invalid, match=f"index-secret index, key {key}: unknown key: write UV_"):
        index.settings(secret(**{key: "x"}), "index")


@pytest.mark.parametrize(
    ("given", "word"), [(None, "not found"), ({}, "is empty"), ({"data": {"UV_INDEX": "/w=="}}, "is not text in UTF-8")]
)
def test_a_secret_without_settings_is_refused_with_the_remedy(given: Object | None, word: str) -> None:
    with pytest.raises(Invalid, match=word):
        index.settings(given, "index")


def test_another_password_of_a_proxy_is_the_same_environment() -> None:
    digests = {index.settings(secret(HTTPS_PROXY=f"http://me:{word}@proxy"), "i").digest for word in ("a", "b")}
    assert len(digests) == 1
