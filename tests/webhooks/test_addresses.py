"""Where endpoints may live. Whoever can make us open a URL can look at our inside, unless every way is shut."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardrail.access import parse_networks
from cardrail.storage import Database
from cardrail.webhooks import AddressForbidden, AddressRules, HttpsRequired, InvalidEndpoint
from cardrail.webhooks.addresses import check_url, first_allowed
from tests.build import a_world
from tests.webhooks.build import Hooks, hooks_of
from tests.webhooks.receiver import a_receiver

PUBLIC = AddressRules()
OFFICE = AddressRules(parse_networks(["10.1.0.0/16"]))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "198.18.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::", "2002:a00:1::",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:db8::1", "fec0::1", "3fff::1", "5f00::1", "192.88.99.1", "no address",
    ],
)  # fmt: skip
def test_addresses_that_are_not_on_the_public_internet_are_refused(address: str) -> None:
    assert first_allowed(PUBLIC, [address], is_plain=False) is None


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_ones_are_allowed_over_tls_only(address: str) -> None:
    assert first_allowed(PUBLIC, [address], is_plain=False) == address
    assert first_allowed(OFFICE, [address], is_plain=True) is None


def test_a_network_that_the_operator_named_is_allowed_in_every_dress() -> None:
    assert first_allowed(OFFICE, ["10.1.2.3"], is_plain=True) == "10.1.2.3"
    assert first_allowed(OFFICE, ["::ffff:10.1.2.3"], is_plain=False) == "::ffff:10.1.2.3"
    assert first_allowed(OFFICE, ["10.2.0.1", "127.0.0.1"], is_plain=True) is None


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://shop.example/hook", HttpsRequired),
        ("ftp://shop.example/hook", HttpsRequired),
        ("file:///etc/passwd", HttpsRequired),
        ("shop.example/hook", HttpsRequired),
        ("https://", InvalidEndpoint),
        ("https://user:word@shop.example/", InvalidEndpoint),
        ("https://shop.example/#part", InvalidEndpoint),
        ("https://shop.example:99999/", InvalidEndpoint),
        ("https://shop.example/a b", InvalidEndpoint),
        ("https://shop.example/\r\nX-Evil: 1", InvalidEndpoint),
        ("https://[::1", InvalidEndpoint),
        ("https://sh\u00f6p.example/", InvalidEndpoint),
        ("https://" + "a" * 2_000, InvalidEndpoint),
        ("https://127.0.0.1/", AddressForbidden),
        ("https://[::1]/", AddressForbidden),
        ("https://[::ffff:10.0.0.1]/", AddressForbidden),
        ("https://169.254.169.254/latest/meta-data/", AddressForbidden),
    ],
)
def test_urls_that_cannot_be_an_endpoints(url: str, error: type[Exception]) -> None:
    with pytest.raises(InvalidEndpoint) as refused:
        check_url(url, PUBLIC)
    assert refused.type is error


def test_other_ways_to_write_this_machine_are_refused_when_connecting(db: Database, tmp_path: Path) -> None:
    """They look like names: what they resolve to is what counts."""
    hooks = hooks_of(a_world(db, tmp_path), rules=PUBLIC)
    with a_receiver() as receiver:
        for host in ("2130706433", "0x7f.1", "017700000001", "127.1", "localhost", "localhost."):
            hooks.endpoint(f"https://{host}:{receiver.port}/hook", description=host)
        hooks.order()
        hooks.send()
        errors = {one.url: hooks.attempts(one)[0].error for one in hooks.book.everybodys()}
        assert receiver.received == []
        assert set(errors.values()) <= {"address_forbidden", "name_not_resolved"}, errors
        assert len(errors) == 6


def test_a_name_that_changes_between_looking_and_connecting_is_looked_up_once(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The classic: a public address for the check, a private one for the connection."""
    asked = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["192.0.2.7"] if len(asked) % 2 else ["127.0.0.1"]

    monkeypatch.setattr("cardrail.webhooks.post.resolve", rebinding)
    with a_receiver() as receiver:
        endpoint, _ = hooks.endpoint(f"http://shop.example:{receiver.port}/")
        hooks.order()
        hooks.send()
        assert [one.error for one in hooks.attempts(endpoint)] == ["address_forbidden"]
        assert (len(asked), receiver.received) == (1, [])
        hooks.pass_time(seconds=6)
        hooks.send()  # now it resolves to loopback, which these rules allow: that address is connected to, and no second look is taken
        assert (len(asked), len(receiver.received)) == (2, 1)


def test_a_proxy_of_the_environment_is_not_used(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with a_receiver() as receiver:
        hooks.endpoint(receiver.url)
        hooks.order()
        hooks.send()
        assert len(receiver.received) == 1
