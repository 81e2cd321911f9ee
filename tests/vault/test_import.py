"""Importing files of codes: every form they come in, every line that is refused, all or nothing."""

from __future__ import annotations

import gzip
import sys
from datetime import timedelta

import pytest

from cardrail.kernel import Mode, to_micros
from cardrail.vault import (
    DamagedFile,
    EmptyImport,
    ImportOvertaken,
    ImportReport,
    ImportTarget,
    InvalidImport,
    LotState,
    MissingHeader,
    PurchaseCost,
    SharedImport,
    UnknownColumn,
    clean_imports,
    list_lots,
    parse_expiry,
)
from cardrail.vault.fingerprint import normalise
from tests.vault.build import DENOMINATION, Vault

ROWS = [("AAAA-1", "11", "S1"), ("BBBB-2", "22", "S2"), ("CCCC-3", "33", "S3")]


def csv_of(columns: str, *, delimiter: str = ",", end: str = "\n") -> str:
    names = columns.split()
    lines = [delimiter.join(names)]
    lines += [delimiter.join({"code": row[0], "pin": row[1], "serial": row[2]}[name] for name in names) for row in ROWS]
    return end.join(lines) + end


@pytest.mark.parametrize(
    ("content", "has_pin"),
    [
        pytest.param(csv_of("code pin serial").encode(), True, id="csv"),
        pytest.param(csv_of("serial code pin").encode(), True, id="columns in another order"),
        pytest.param(csv_of("code pin", delimiter=";").encode(), True, id="semicolons"),
        pytest.param(csv_of("code pin", delimiter="\t").encode(), True, id="tabs"),
        pytest.param(csv_of("code pin", end="\r\n").encode(), True, id="CRLF"),
        pytest.param(b"\xef\xbb\xbf" + csv_of("code pin").encode(), True, id="BOM"),
        pytest.param(gzip.compress(csv_of("code pin").encode(), mtime=0), True, id="gzip"),
        pytest.param(b'"Code","PIN"\n"AAAA-1","11"\n"BBBB-2","22"\n"CCCC-3","33"', True, id="quotes, capitals, no last line end"),
        pytest.param(b"code\nAAAA-1\nBBBB-2\nCCCC-3\n", False, id="csv of one column"),
        pytest.param(b"AAAA-1\nBBBB-2\nCCCC-3\n", False, id="plain"),
        pytest.param(b"\n\n  AAAA-1  \r\n\r\nBBBB-2\r\nCCCC-3", False, id="plain with blanks and CRLF"),
        pytest.param(b"\xef\xbb\xbfAAAA-1\nBBBB-2\nCCCC-3\n", False, id="plain with BOM"),
        pytest.param(gzip.compress(b"AAAA-1\nBBBB-2\nCCCC-3\n", mtime=0), False, id="plain gzip"),
    ],
)
def test_every_form_of_file_gives_the_same_codes(vault: Vault, content: bytes, has_pin: bool) -> None:
    assert vault.load(content).count == 3
    opened = vault.open(vault.take(3))
    assert sorted(str(one.code) for one in opened) == ["AAAA-1", "BBBB-2", "CCCC-3"]
    assert sorted(str(one.pin) for one in opened) == (["11", "22", "33"] if has_pin else ["None"] * 3)


BAD_LINES = [
    pytest.param("code,pin\nGOOD-1,1\n,2\n", 3, "no code", id="no code"),
    pytest.param("code,pin\n- - -,2\n", 2, "no code", id="separators only"),
    pytest.param("code\n" + "X" * 257 + "\n", 2, "code is longer than 256 characters", id="long code"),
    pytest.param("code,pin\nA," + "1" * 65 + "\n", 2, "pin is longer than 64 characters", id="long pin"),
    pytest.param("code,serial\nA," + "1" * 129 + "\n", 2, "serial is longer than 128 characters", id="long serial"),
    pytest.param("code,url\nA,javascript:1\n", 2, "url does not begin with https:// or http://", id="odd url"),
    pytest.param("code,url\nA,https://" + "x" * 2048 + "\n", 2, "url is longer than 2048 characters", id="long url"),
    pytest.param("code,pin\nA,1,2\n", 2, "more fields than the header", id="too many fields"),
    pytest.param("code\nA\x07B\n", 2, "holds a character that cannot be printed", id="control character"),
    pytest.param(b"code\nGOOD\nA\xff\xfeB\n", 3, "not UTF-8", id="latin"),
    pytest.param(b"GOOD\nA\xe9B\n", 2, "not UTF-8", id="latin in plain text"),
    pytest.param('code,pin\nA,"1"x\n', 2, "broken quotes, or a field that is too long", id="broken quotes"),
    pytest.param('code,pin\n"A\nB",1\n', 3, "holds a character that cannot be printed", id="line end within quotes"),
    pytest.param("AAAA\nBBBB,1\n", 2, "holds a separator; CSV needs a header line", id="separator in plain text"),
    pytest.param("code,expires_at\nA,soon\n", 2, "expires_at is neither a date nor an RFC 3339 time", id="no date"),
    pytest.param("code,expires_at\nA,2027-02-30\n", 2, "expires_at is neither a date nor an RFC 3339 time", id="no such day"),
    pytest.param(
        "code,expires_at\nA,2027-02-03T10:00:00\n", 2, "expires_at is a time without its offset from UTC", id="no offset"
    ),
    pytest.param("code,expires_at\nA,2026-05-31\n", 2, "expired already", id="expired"),
]


@pytest.mark.parametrize(("content", "line", "problem"), BAD_LINES)
def test_a_bad_line_is_named_by_its_number(vault: Vault, content: str | bytes, line: int, problem: str) -> None:
    with pytest.raises(InvalidImport) as caught:
        vault.load(content)
    assert [(one.line, one.problem) for one in caught.value.report.bad.listed] == [(line, problem)]
    assert vault.available() == 0


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", EmptyImport),
        (b"\n \n\r\n", EmptyImport),
        (b"code,pin\n", EmptyImport),
        (b"AAAA,1111\nBBBB,2222\n", MissingHeader),
        (b"code,colour\nA,red\n", UnknownColumn),
        (b"code,pin,code\nA,1,B\n", UnknownColumn),
        (gzip.compress(b"AAAA\n" * 5_000, mtime=0)[:-20], DamagedFile),
        (b"\x1f\x8brubbish", DamagedFile),
        (b"A" * 20_000, DamagedFile),
    ],
)
def test_a_file_that_is_no_list_of_codes_is_refused(vault: Vault, content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        vault.load(content)
    assert lots_of(vault) == []


def test_a_duplicate_in_the_file_is_named_by_line_whatever_its_spelling(vault: Vault) -> None:
    with pytest.raises(InvalidImport) as caught:
        vault.load("ABCD-1234\nEFGH-5678\nabcd 1234\nABCD1234\n")
    assert lines_of(caught.value.report) == [(3, "file"), (4, "file")]


def test_a_sold_code_cannot_be_imported_again(vault: Vault) -> None:
    vault.lot("ABCD-1234\n")
    assert vault.sell(1) == ["ABCD-1234"]
    with pytest.raises(InvalidImport) as caught:
        vault.load("NEW-1\nabcd1234\n")
    assert lines_of(caught.value.report) == [(2, "vault")]
    assert vault.available() == 0


def test_duplicates_can_be_skipped(vault: Vault) -> None:
    vault.lot("AAAA\n")
    report = vault.load("AAAA\nBBBB\nBBBB\nCCCC\n", skip_duplicates=True)
    assert (report.count, lines_of(report)) == (2, [(3, "file"), (1, "vault")])
    assert sorted(map(str, vault.sell(9))) == ["AAAA", "BBBB", "CCCC"]


def test_skipping_duplicates_does_not_skip_bad_lines(vault: Vault) -> None:
    with pytest.raises(InvalidImport):
        vault.load("code,pin\nAAAA,1\nAAAA,1\n,2\n", skip_duplicates=True)


def test_another_brand_may_have_the_same_code(vault: Vault) -> None:
    vault.lot("AAAA\n")
    assert vault.load("AAAA\n", target=ImportTarget("brd_OTHER", DENOMINATION, 500)).count == 1


def test_a_dry_run_reports_and_stores_nothing(vault: Vault) -> None:
    vault.lot("AAAA\n")
    report = vault.load("code,pin\nAAAA,1\nBBBB,2\n,3\n", dry_run=True)
    assert (report.count, report.bad.count, report.duplicates.count, report.lot) == (1, 1, 1, None)
    assert len(lots_of(vault)) == 1


def test_the_cost_of_each_code_makes_the_cost_of_the_lot(vault: Vault) -> None:
    seen = []
    report = vault.load("A1\nA2\nA3\n", cost=PurchaseCost("INR", each_minor=9_500), on_open=lambda _tx, lot: seen.append(lot))
    assert [(lot.cost_minor, lot.cost_currency, lot.state) for lot in seen] == [(28_500, "INR", LotState.OPEN)]
    assert report.lot == seen[0]


def test_a_booking_that_fails_leaves_nothing(vault: Vault) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("the ledger says no")

    with pytest.raises(RuntimeError, match="the ledger says no"):
        vault.load("AAAA\n", on_open=refuse)
    assert lots_of(vault) == []
    assert vault.load("AAAA\n").count == 1


def test_codes_are_sold_soonest_expiry_first_whatever_their_order_in_the_file(vault: Vault) -> None:
    report = vault.load("code,expires_at\nNEVER,\nLATE,2028-01-01\nSOON,2026-07-01T00:00:00+02:00\n")
    assert [count for _, count in report.expiries] == [1, 1, 1]
    assert vault.sell(3) == ["SOON", "LATE", "NEVER"]


def test_a_code_is_not_sold_after_its_expiry(vault: Vault) -> None:
    vault.lot("code,expires_at\nSOON,2026-07-01\nLATE,2028-01-01\n")
    vault.clock.advance(days=31)
    assert vault.available() == 1
    assert vault.sell(2) == ["LATE"]


def test_many_expiries_are_kept_to_the_day_and_never_sold_too_late(vault: Vault) -> None:
    start = vault.clock.now() + timedelta(days=1)
    lines = [f"C{n:05d},{(start + timedelta(minutes=n)).isoformat()}" for n in range(1_500)]
    report = vault.load("code,expires_at\n" + "\n".join(lines))
    assert len(report.expiries) == 2  # 1,500 minutes touch two days
    assert report.expiries[0][0] == to_micros(start)


def test_a_date_is_its_last_second() -> None:
    assert parse_expiry("2027-12-31") == parse_expiry("2027-12-31T23:59:59Z") == parse_expiry("2028-01-01T00:59:59+01:00")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("abcd-1234", "ABCD1234"),
        ("ABCD 1234", "ABCD1234"),
        ("ＡＢＣＤ１２３４", "ABCD1234"),  # full width: NFKC
        ("abcd–1234", "ABCD1234"),  # a dash that a word processor made
        ("aBcD1234", "aBcD1234"),  # mixed case means something
        ("1234_5678.9", "123456789"),
    ],
)
def test_spellings_that_issuers_do_not_tell_apart(text: str, same: str) -> None:
    assert normalise(text) == same


def test_a_shared_code_is_sold_again_and_again(vault: Vault) -> None:
    vault.lot("WELCOME\n", is_shared=True)
    assert vault.sell(3) == ["WELCOME"] * 3
    assert vault.sell(2) == ["WELCOME"] * 2


@pytest.mark.parametrize("options", [{"content": "A\nB\n"}, {"content": "A\n", "cost": PurchaseCost("INR", each_minor=1)}])
def test_a_shared_code_is_one_and_has_no_cost(vault: Vault, options: dict) -> None:
    with pytest.raises(SharedImport):
        vault.load(is_shared=True, **options)


def test_test_codes_are_not_for_sale_live(vault: Vault) -> None:
    vault.lot("AAAA\n", mode=Mode.TEST)
    assert vault.available() == 0


def test_a_url_may_stand_alone(vault: Vault) -> None:
    vault.lot("url,serial\nhttps://redeem.example/x1,S1\n")
    (opened,) = vault.open(vault.take(1))
    assert opened.fields() == (None, None, "S1", "https://redeem.example/x1")


def test_a_chunked_import_is_whole(vault: Vault) -> None:
    codes = [f"CODE-{n:06d}" for n in range(12_345)]
    assert vault.load("\n".join(codes)).count == 12_345
    assert sorted(map(str, vault.sell(20_000))) == codes


# --- an import that dies -------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process dies: nothing is cleaned up."""


def die_while_storing(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(stage: str, done: int, _total: int | None) -> None:
        if stage == "storing" and done >= 10_000:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["cardrail.vault.import_codes"], "remove_lot", lambda *_: None)
        with pytest.raises(Killed):
            vault.load(CODES, progress=die)


CODES = "\n".join(f"CODE-{n:06d}" for n in range(12_000))


def test_codes_of_a_dead_import_are_not_for_sale(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    die_while_storing(vault, monkeypatch)
    assert [lot.state for lot in lots_of(vault)] == [LotState.LOADING]
    assert vault.available() == 0


def test_a_later_import_says_that_the_dead_one_has_its_codes(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    die_while_storing(vault, monkeypatch)
    report = vault.load(CODES, dry_run=True)
    assert report.duplicates.count == 10_000
    assert {where for _, where in lines_of(report)} == {"loading"}


def test_after_cleaning_the_same_file_can_be_imported(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    die_while_storing(vault, monkeypatch)
    vault.clock.advance(hours=2)
    cleaned = clean_imports(vault.db, vault.clock, vault.audit)
    assert len(cleaned) == 1
    assert vault.load(CODES).count == 12_000


def test_cleaning_leaves_alone_what_may_still_be_running(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    die_while_storing(vault, monkeypatch)
    assert clean_imports(vault.db, vault.clock, vault.audit) == []


def test_an_import_that_was_cleaned_while_loading_stops(vault: Vault) -> None:
    def clean(stage: str, done: int, _total: int | None) -> None:
        if stage == "storing" and done == 5_000:
            (lot,) = lots_of(vault)
            clean_imports(vault.db, vault.clock, vault.audit, lot_id=lot.id)

    with pytest.raises(ImportOvertaken):
        vault.load(CODES, progress=clean)
    assert lots_of(vault) == []


def test_two_imports_of_the_same_code_at_once_leave_one(vault: Vault) -> None:
    def other(stage: str, done: int, total: int | None) -> None:
        if stage == "checking":
            vault.load("CODE-000001\n")

    with pytest.raises(ImportOvertaken):
        vault.load(CODES, progress=other)
    assert vault.available() == 1


def test_an_interrupted_import_cleans_up_after_itself(vault: Vault) -> None:
    def interrupt(stage: str, *_: object) -> None:
        if stage == "storing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vault.load(CODES, progress=interrupt)
    assert lots_of(vault) == []


def lots_of(vault: Vault) -> list:
    with vault.db.read() as tx:
        return list_lots(tx)


def lines_of(report: ImportReport) -> list[tuple[int, str]]:
    return [(one.line, one.where) for one in report.duplicates.listed]
