"""What every dialect stands on, with a toy dialect: routes, envelopes, credentials, host names, profiles."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardrail.access import Principal, TooManyKeys
from cardrail.api.compat import (
    Answer,
    Call,
    Dialect,
    Route,
    Surface,
    decimal_text,
    json_answer,
    json_number,
    load_profiles,
    minor_of,
)
from cardrail.api.compat.dialect import InvalidDialectSettings, parse_hosts
from cardrail.kernel import (
    NUMBER_MAX,
    CardrailError,
    InvalidAmount,
    Mode,
    base32_of,
    hex24_of,
    id_of_uuid,
    ids_of_hex24,
    new_id,
    new_number,
    number_of,
    uuid_of,
)
from tests.compat.build import CompatShop


class ToyProfile(msgspec.Struct, frozen=True):
    """What the toy's vendor leaves open."""

    greeting: str = "hello"
    requests_per_minute: int = 60


class ToySurface(Surface):
    """Says hello, and wraps every refusal as {"oops": code}."""

    name = "toy"
    slash_is_same = True

    def __init__(self, desk: Any, profile: ToyProfile) -> None:
        self.profile = profile
        super().__init__(desk)

    @property
    def routes(self) -> list[Route]:
        return [
            Route("GET", "/hello", self.hello),
            Route("POST", "/hello/{name}", self.hello),
            Route("GET", "/open", self.hello, is_public=True),
            Route("GET", "/fault", self.fault, is_public=True),
        ]

    async def authenticate(self, call: Call) -> Principal:
        return await self.by_token(call, call.header("x-toy") or "", "oneclickdz")

    def refuse(self, call: Call, error: CardrailError) -> Answer:
        return json_answer({"oops": error.code}, 418)

    async def hello(self, call: Call) -> Answer:
        return json_answer({"says": self.profile.greeting, "to": call.params.get("name")})

    async def fault(self, call: Call) -> Answer:
        raise RuntimeError(call.path)


TOY = Dialect("toy", ToyProfile, lambda desk, profile: [("", ToySurface(desk, profile))])


@pytest.fixture(scope="module")
def shop_backend() -> str:
    return "sqlite"


@pytest.fixture(scope="module", autouse=True)
def with_toy() -> Any:
    """The toy is served beside the real ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cardrail.api.app.DIALECTS", (TOY,))
        yield


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    return {"dialect_hosts": "Api.Example.com=toy"}


@pytest.fixture
def toy(shop: CompatShop) -> Iterator[httpx2.Client]:
    token = shop.credential("oneclickdz")["api_key"]
    with httpx2.Client(base_url=shop.url + "/compat/toy", headers={"X-Toy": token}, trust_env=False) as client:
        yield client


def test_a_credential_of_the_dialect_is_let_in(toy: httpx2.Client) -> None:
    assert toy.get("/hello").json() == {"says": "hello", "to": None}
    assert toy.post("/hello/ann/").json()["to"] == "ann"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/nowhere", "route_not_found"),
        ("GET", "", "route_not_found"),
        ("DELETE", "/hello", "method_not_allowed"),
        ("GET", "/fault", "internal_error"),
    ],
)
def test_whatever_goes_wrong_comes_in_the_dialects_envelope(toy: httpx2.Client, method: str, path: str, code: str) -> None:
    answer = toy.request(method, path)
    assert (answer.status_code, answer.json()) == (418, {"oops": code})


@pytest.mark.parametrize("token", ["", "wrong", "cr_live_" + "0" * 40])
def test_without_a_credential_of_the_dialect_nobody_is_let_in(shop: CompatShop, token: str) -> None:
    answer = httpx2.get(shop.url + "/compat/toy/hello", headers={"X-Toy": token}, trust_env=False)
    assert answer.json() == {"oops": "invalid_api_key"}


def test_a_native_key_is_no_credential_of_a_dialect_nor_the_other_way_round(shop: CompatShop) -> None:
    native, theirs = shop.native_key(), shop.credential("oneclickdz")["api_key"]
    assert httpx2.get(shop.url + "/compat/toy/hello", headers={"X-Toy": native}).json() == {"oops": "invalid_api_key"}
    answer = httpx2.get(shop.url + "/v1/me", headers={"X-API-Key": theirs})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_api_key")


def test_an_unknown_dialect_is_an_unknown_path_of_ours(shop: CompatShop) -> None:
    answer = httpx2.get(shop.url + "/compat/nobody/x")
    assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found")


def test_a_mapped_host_name_has_the_dialect_at_its_root(shop: CompatShop) -> None:
    answer = httpx2.get(shop.url + "/open", headers={"Host": "api.example.COM:8443"})
    assert answer.json() == {"says": "hello", "to": None}
    assert httpx2.get(shop.url + "/open").status_code == 404


def test_a_credentials_own_limit_refuses_with_the_dialects_words(shop: CompatShop) -> None:
    partner = shop.a_partner()
    token = shop.credential("oneclickdz", Mode.LIVE, partner_id=partner, requests_per_minute=2)["api_key"]
    answers = [httpx2.get(shop.url + "/compat/toy/hello", headers={"X-Toy": token}).json() for _ in range(3)]
    assert answers[-1] == {"oops": "too_many_requests"}
    assert "oops" not in answers[1]


def test_a_profile_is_overridden_by_its_section_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text('[toy]\ngreeting = "salut"\n')
    assert load_profiles(file, [TOY])["toy"] == ToyProfile(greeting="salut")
    assert load_profiles(None, [TOY])["toy"] == ToyProfile()


@pytest.mark.parametrize(
    "text", ["[toy]\ngreting = 1", "[toy]\ngreeting = 1", "[nobody]", "[toy", "[toy]\nrequests_per_minute = true"]
)
def test_a_profile_with_a_mistake_stops_the_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text(text)
    with pytest.raises(InvalidDialectSettings):
        load_profiles(file, [TOY])


@pytest.mark.parametrize("text", ["api.example.com", "=toy", "api.example.com=", "api.example.com=nobody"])
def test_a_host_that_is_mapped_to_nothing_stops_the_start(text: str) -> None:
    with pytest.raises(InvalidDialectSettings):
        parse_hosts(text, ["toy"])


def test_a_third_valid_credential_of_a_dialect_is_refused(shop: CompatShop) -> None:
    partner = shop.a_partner()
    for limit in (1, 2):
        given = shop.credential("finperks", partner_id=partner, requests_per_minute=limit)
        assert set(given) == {"key_id", "client_id", "client_secret"}
    shop.credential("starship", partner_id=partner)
    with pytest.raises(TooManyKeys):
        shop.credential("finperks", partner_id=partner, requests_per_minute=3)


@given(st.integers(0, 10**15), st.sampled_from(["INR", "JPY", "KWD", "DZD"]))
def test_an_amount_is_the_same_as_text_as_number_and_back(minor: int, code: str) -> None:
    assert minor_of(decimal_text(minor, code), code) == minor
    written = bytes(json_number(minor, code, scale=3)).decode()
    assert minor_of(written, code) == minor
    assert minor_of(bytes(json_number(minor, code)).decode(), code) == minor


@pytest.mark.parametrize("amount", ["1.001", "-1", "1e400", "1e-400", "NaN", "Infinity", "", "x", "1_0.5.5"])
def test_an_amount_that_is_none_is_refused(amount: str) -> None:
    with pytest.raises(InvalidAmount):
        minor_of(amount, "INR")


def test_an_ids_other_dress_leads_back_to_it() -> None:
    ids = [new_id("ord") for _ in range(1_000)]
    for one in ids:
        assert id_of_uuid("ord", uuid_of(one)) == one
        first, last = ids_of_hex24("ord", hex24_of(one)) or ("", "")
        assert [other for other in ids if first <= other <= last] == [one]
    assert len({number_of(one) for one in ids}) == len(ids)


def test_an_id_in_base_32_is_what_the_standard_makes_of_its_bits() -> None:
    for one in (new_id("ord"), "ord_" + "0" * 26, "ord_7" + "Z" * 25):
        assert base32_of(one) == base64.b32encode(UUID(uuid_of(one)).bytes).decode().rstrip("=")


def test_numbers_made_with_their_rows_are_never_the_same_and_rise_whatever_the_clock_does() -> None:
    numbers = [new_number() for _ in range(20_000)]
    assert all(one < after for one, after in pairwise(numbers))
    assert 2**52 <= numbers[0] <= numbers[-1] <= NUMBER_MAX


@pytest.mark.parametrize("text", ["", "x", "0" * 23, "0" * 25, "G" * 24, "../../etc/passwd", "0" * 24 + "\n"])
def test_what_has_not_the_form_of_such_an_id_is_none(text: str) -> None:
    assert ids_of_hex24("ord", text) is None
    assert id_of_uuid("ord", text) is None
