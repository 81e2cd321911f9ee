"""A supplier described by a file, over real HTTP: the example that `supplier template` prints, against the supplier that it describes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from cardrail.kernel import Mode, Money, PlainCode, Secret
from cardrail.sourcing import (
    Accepted,
    Capabilities,
    CredentialsRefused,
    Delivered,
    Invalidated,
    InvalidSupplierConfig,
    Lookup,
    LookupRequest,
    NotFound,
    NotSent,
    OddAnswer,
    PlaceRequest,
    RefusalKind,
    Refused,
    Setup,
    Unknown,
)
from cardrail.sourcing.connectors.rest import EXAMPLE, RestSupplier
from cardrail.sourcing.connectors.rest.file import parse_file
from cardrail.sourcing.http import Answer
from tests.sourcing.acme.server import KEY, AcmeServer

Make = Callable[..., RestSupplier]
BASE = "https://api.acme.example/v2"


def inr(text: str) -> Money:
    return Money.parse(text, "INR")


def a_request(quantity: int = 1, reference: str = "att_1", sku: str = "TEA-100", **fields: str) -> PlaceRequest:
    return PlaceRequest(reference, sku, quantity, inr("100"), inr("10000"), fields)


def about(request: PlaceRequest, order_id: str | None = None) -> LookupRequest:
    return LookupRequest(request, order_id, datetime.now(UTC))


@pytest.fixture(scope="module")
def acme() -> Iterator[AcmeServer]:
    made = AcmeServer()
    yield made
    made.close()


@pytest.fixture
def acme_books(acme: AcmeServer) -> AcmeServer:
    acme.books.orders.clear()
    acme.books.lines.clear()
    acme.books.script.clear()
    return acme


@pytest.fixture
def supplier(acme_books: AcmeServer, tmp_path: Path) -> Iterator[Make]:
    """Makes connectors from the example, with some of its texts exchanged."""
    made: list[RestSupplier] = []

    def make(*changes: tuple[str, str], key: str = KEY) -> RestSupplier:
        made.append(described(acme_books, tmp_path, *changes, key=key))
        return made[-1]

    yield make
    for one in made:
        one.close()


def described(acme: AcmeServer, folder: Path, *changes: tuple[str, str], key: str = KEY) -> RestSupplier:
    text = EXAMPLE.replace(BASE, acme.url + "/v2")
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    path = folder / "acme.toml"
    path.write_text(text, encoding="utf-8")
    return RestSupplier(Setup("sup_1", Mode.LIVE, "INR", {"file": str(path)}, {"key": Secret(key)}))


def test_what_the_file_has_is_what_it_can_do(supplier: Make, tmp_path: Path) -> None:
    able = supplier().capabilities
    assert (able.lookup, able.is_idempotent, able.can_poll, able.can_invalidate) == (Lookup.BY_REFERENCE, True, True, True)
    assert all([able.has_catalog, able.has_stock, able.has_price, able.has_balance, able.has_statement])
    assert (able.delivers_topups, able.quantity_max, able.call_seconds) == (True, 50, 20.0)
    least = 'base_url = "https://x.example"\n[place]\npath = "/o"\n[order]\ncodes = "c"\ncode = ""\n'
    path = tmp_path / "least.toml"
    path.write_text(least)
    made = RestSupplier(Setup("sup_1", Mode.LIVE, "INR", {"file": str(path)}, {}))
    made.close()
    assert made.capabilities == Capabilities(
        can_poll=False, settle_seconds=60.0, poll_seconds=5.0, quantity_max=1_000, call_seconds=30.0
    )


def test_it_syncs_prices_counts_and_tells_its_balance(supplier: Make) -> None:
    made = supplier()
    tea, sold_out = made.catalog()
    assert (tea.sku, tea.face_minor, tea.currency, tea.cost, tea.stock) == ("TEA-100", 100_00, "INR", inr("95"), 900)
    assert (tea.brand, tea.countries, sold_out.is_available) == ("Tea house", ("IN",), False)
    assert made.stock(["TEA-100", "NONE"]) == {"TEA-100": 900}
    assert made.price("TEA-100", inr("100"), 3) == inr("285")
    assert made.balance() == [inr("100000")]


def test_it_buys_and_the_repeat_is_the_first_order(acme_books: AcmeServer, supplier: Make) -> None:
    made = supplier()
    bought = made.place(a_request(2))
    assert isinstance(bought, Delivered)
    assert bought.codes[1] == PlainCode(f"ACME-{bought.supplier_order_id}-1", "0001", "S1")
    assert bought.cost == inr("190")
    assert made.place(a_request(2)) == bought
    assert acme_books.books.bodies[-1] == {"sku": "TEA-100", "count": 2, "ref": "att_1"}
    assert acme_books.seen[-1]["idempotency-key"] == "att_1"


def test_what_is_accepted_is_polled_by_its_id(acme_books: AcmeServer, supplier: Make) -> None:
    acme_books.books.script.append("accept")
    made = supplier()
    accepted = made.place(a_request())
    assert isinstance(accepted, Accepted)
    assert made.lookup(about(a_request(), accepted.supplier_order_id)) == accepted
    acme_books.books.finish()
    assert isinstance(made.lookup(about(a_request(), accepted.supplier_order_id)), Delivered)


def test_a_lost_answer_is_looked_up_by_our_reference(supplier: Make) -> None:
    made = supplier()
    assert made.lookup(about(a_request())) == NotFound()
    bought = made.place(a_request())
    assert made.lookup(about(a_request())) == bought
    assert made.lookup(about(a_request(), "a/99")) == NotFound()


def test_a_list_that_the_supplier_did_not_filter_proves_nothing(supplier: Make) -> None:
    made = supplier(('query = { ref = "{reference}" }', 'query = { ref = "att_1", our = "{reference}" }'))
    made.place(a_request())
    assert isinstance(made.lookup(about(a_request(reference="att_2"))), Unknown)


@pytest.mark.parametrize(
    ("word", "kind"),
    [("OUT_OF_STOCK", RefusalKind.OUT_OF_STOCK), ("LOW_BALANCE", RefusalKind.NO_FUNDS), ("PRICE_CHANGED", RefusalKind.PRICE)],
)
def test_only_the_file_s_words_are_a_no(acme_books: AcmeServer, supplier: Make, word: str, kind: RefusalKind) -> None:
    acme_books.books.script.extend([f"refuse:{word}", "refuse:SOMETHING_ELSE", "odd"])
    made = supplier()
    refused = made.place(a_request())
    assert isinstance(refused, Refused)
    assert refused.kind is kind
    assert isinstance(made.place(a_request()), Unknown)
    odd = made.place(a_request())
    assert isinstance(odd, Unknown)
    assert odd.supplier_order_id is not None


def test_fewer_codes_count_only_where_the_status_says_so(acme_books: AcmeServer, supplier: Make) -> None:
    acme_books.books.script.extend(["short", "short"])
    short = supplier().place(a_request(3))
    assert isinstance(short, Delivered)
    assert (len(short.codes), short.cost) == (2, inr("190"))
    made = supplier(('short = "partial"', 'short = "delivered"'))
    assert isinstance(made.place(a_request(3, "att_2")), Unknown)


def test_an_order_is_cancelled_while_it_can_be(acme_books: AcmeServer, supplier: Make) -> None:
    acme_books.books.script.append("accept")
    made = supplier()
    accepted = made.place(a_request())
    assert isinstance(accepted, Accepted)
    assert made.invalidate(about(a_request(), accepted.supplier_order_id)) == Invalidated()
    assert isinstance(made.lookup(about(a_request(), accepted.supplier_order_id)), Unknown)  # "cancelled" is not in the file
    assert isinstance(made.invalidate(about(a_request())), Unknown)  # no id, and it is cancelled by its id


def test_a_top_up_delivers_its_receipt(acme_books: AcmeServer, supplier: Make) -> None:
    found = supplier().place(a_request(player_id="77"))
    assert isinstance(found, Delivered)
    assert found.codes == (PlainCode("T-a/" + found.supplier_order_id.partition("/")[2]),)  # type: ignore[union-attr]  # it has one
    assert acme_books.books.bodies[-1]["account"] == {"player_id": "77"}


def test_its_statement_is_of_the_period_and_has_its_signs(acme_books: AcmeServer, supplier: Make) -> None:
    made, books = supplier(), acme_books.books
    now = datetime.now(UTC)
    made.place(a_request())
    books.note("refund", 9_500, "a/x", "att_1")
    books.note("deposit", 50_000)
    books.note("sale", 1, "a/old", "att_0", at=(now - timedelta(days=2)).isoformat())
    lines = list(made.statement(now - timedelta(hours=1), now + timedelta(hours=1)))
    assert [(one.kind, one.amount) for one in lines] == [("order", inr("95")), ("refund", -inr("95")), ("topup", -inr("500"))]
    assert lines[0].reference == "att_1"


def test_a_key_that_is_not_known_is_said_so_and_never_shown(supplier: Make) -> None:
    made = supplier(key="wrong-key")
    with pytest.raises(CredentialsRefused) as caught:
        made.balance()
    assert "wrong-key" not in str(caught.value)
    refused = made.place(a_request())
    assert isinstance(refused, Refused)
    assert refused.kind is RefusalKind.BUSY


def test_a_mapping_that_reads_no_product_is_said_and_drops_nothing(supplier: Make) -> None:
    made = supplier(('sku = "sku"', 'sku = "article"'))
    with pytest.raises(OddAnswer):
        list(made.catalog())


class Says:
    """Whoever stands between us and the supplier, and says one thing."""

    def __init__(self, status: int, body: bytes) -> None:
        self._answer = Answer(status, {}, body)

    def request(self, *_: Any, **__: Any) -> Answer:
        return self._answer

    def close(self) -> None:
        """Nothing is open."""

    def to(self, made: RestSupplier) -> None:
        """From now on it is the one who answers."""
        made._http.close()
        made._http = cast("Any", self)


def test_a_status_does_not_make_a_no_of_a_word_that_the_file_does_not_know(supplier: Make) -> None:
    made = supplier(('401 = "busy"', '401 = "busy"\n422 = "invalid"'))
    assert isinstance(made.place(a_request(2)), Delivered)
    assert isinstance(made.place(a_request(3)), Unknown)  # 422 REF_REUSED: there is an order
    Says(422, b"{}").to(made)
    assert isinstance(made.place(a_request(3)), Refused)


def test_a_receipt_of_some_units_does_not_count_for_all(acme_books: AcmeServer, supplier: Make) -> None:
    acme_books.books.script.append("short")
    found = supplier().place(a_request(2, player_id="77"))
    assert isinstance(found, Unknown)
    assert found.supplier_order_id is not None


def test_a_page_of_somebody_in_between_cancels_nothing(supplier: Make) -> None:
    made = supplier(('done = ["cancelled"]', "done_http = [200, 204]"))
    for status, body in ((200, b"<html>Please log in</html>"), (204, b""), (200, b"{}")):
        Says(status, body).to(made)
        if b"html" in body:
            with pytest.raises(OddAnswer):
                made.invalidate(about(a_request(), "a/1"))
        else:
            assert made.invalidate(about(a_request(), "a/1")) == Invalidated()


def test_false_is_no_code_yet(supplier: Make) -> None:
    made = supplier()
    Says(200, b'{"id": "a/1", "state": "done", "cards": [{"number": false}]}').to(made)
    assert isinstance(made.place(a_request()), Unknown)


@pytest.mark.parametrize("typed", ["abc", "NaN", "1e99999"])
def test_a_buyer_s_text_that_is_no_number_is_refused_before_anything_is_sent(
    acme_books: AcmeServer, supplier: Make, typed: str
) -> None:
    before = len(acme_books.seen)
    found = supplier(('account = "{fields}"', 'amount = "{field.amount|number}"')).place(a_request(amount=typed))
    assert isinstance(found, Refused)
    assert (found.kind, len(acme_books.seen)) == (RefusalKind.INVALID, before)


def test_a_repeat_that_cannot_be_made_any_more_is_no_refusal(supplier: Make) -> None:
    """Its customer was erased, and his player id with him: what became of the first one is not known."""
    made = supplier(
        ('account = "{fields}"', 'account = "player {field.player_id}"'),
        ("[lookup]                                     # is", "# is"),
        ('path = "/orders"\nquery = { ref = "{reference}" }\nrows', "# rows"),
    )
    assert isinstance(made.place(a_request(player_id="7")), Delivered)
    with pytest.raises(NotSent):
        made.place(a_request())


def test_an_order_whose_codes_cannot_be_asked_for_keeps_its_number(supplier: Make) -> None:
    cards = '[cards]\npath = "/orders/{order_id}/{customer_id}"\n[invalidate]'
    found = supplier(("[invalidate]", cards)).place(a_request())
    assert isinstance(found, Accepted)


# --- bad files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "line_has", "reason"),
    [
        ('count = "{quantity}"', 'count = "{quantty}"', "[place.body]", "there is no {quantty} here"),
        ('done = "delivered"', 'done = "deliverd"', "deliverd", "Invalid enum value"),
        ("poll_seconds = 5 ", "poll_secs = 5 ", "poll_secs", "unknown field"),
        ('401 = "busy"', '409 = "busy"', "409", "prove nothing"),
        ('status = "state"', 'status = "state[x]"', "state[x]", "is no path"),
        ('X-Client = "cardrail"', 'X-Token = "abc"', "X-Token", "sealed with the supplier"),
        ('X-Api-Key = "{key}"', 'X-Api-Key = "k-123"', "X-Api-Key", "made of the sealed secrets"),
        ("page_size = 100", "page_size =", "page_size", "not TOML"),
        ("call_seconds = 20", "call_seconds = 2000", "call_seconds", "<= 120"),
        ('path = "/account"', 'path = "account"', 'path = "account"', "begins with /"),
        ("obeys_max_cost = false", "obeys_max_cost = true", "obeys_max_cost", "does not send {max_cost}"),
        ('reference = "ref"                            # our', "# our", 'rows = "items"', "order.reference"),
        ('"{reference}" }\nrows', '"x" }\nrows', "[lookup]", "uses {reference}"),
        ('base_url = "https', 'base_url = "ftp', "base_url", "an address"),
        ('currency = "face.currency"', "", "[catalog.product]", "either currency"),
        ("not_found = [404]", "not_found = [404, 403]", "not_found", "do not say that there is no such order"),
        ('path = "/orders/{order_id}/cancel"', 'path = "/orders/last"', "[invalidate]", "of which order?"),
        ('"{page}", size', '"1", size', "paging", "does not say {page}"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(before: str, after: str, line_has: str, reason: str) -> None:
    assert before in EXAMPLE
    text = EXAMPLE.replace(before, after, 1)
    with pytest.raises(InvalidSupplierConfig) as caught:
        parse_file(text)
    facts = caught.value.facts
    assert reason in str(facts["reason"])
    assert line_has in text.splitlines()[int(str(facts["line"])) - 1]


def test_a_file_that_cannot_be_read_and_a_secret_that_is_missing_are_told(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(EXAMPLE)
    for config in ({}, {"file": "acme.toml"}, {"file": str(tmp_path / "none.toml")}, {"file": str(path)}):
        with pytest.raises(InvalidSupplierConfig):
            RestSupplier(Setup("sup_1", Mode.LIVE, "INR", config, {}))
    path.write_bytes(b'name = "x"\nbase_url = "\xff"\n')
    with pytest.raises(InvalidSupplierConfig) as caught:
        RestSupplier(Setup("sup_1", Mode.LIVE, "INR", {"file": str(path)}, {}))
    assert caught.value.facts["line"] == 2


def test_the_guide_shows_the_file_that_is_tested_here_and_a_connector_is_short() -> None:
    root = Path(__file__).parents[3]
    assert EXAMPLE in (root / "docs/guides/connect-any-rest-supplier.md").read_text()
    connector = (root / "tests/sourcing/acme/connector.py").read_text()
    assert len(connector.splitlines()) < 150
    guide = (root / "docs/guides/add-a-connector.md").read_text()
    shown = guide.partition("```python\n")[2].partition("```")[0].split("    …\n")
    assert all(part.strip("\n") in connector for part in shown)
