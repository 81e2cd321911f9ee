"""A worker serves no API; monitoring can ask it how it is all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from cardrail.api import Watch
from cardrail.bootstrap import Cardrail, opened
from cardrail.config import Settings
from cardrail.vault import create_key_file


@pytest.fixture
def installation(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Cardrail]:
    create_key_file(tmp_path / "master.keys")
    (tmp_path / "cardrail.db").write_bytes(migrated_sqlite.read_bytes())
    with opened(Settings(data_dir=tmp_path), chain="worker") as found:
        yield found


@pytest.fixture
def watch(installation: Cardrail) -> Iterator[Watch]:
    found = Watch(installation, "127.0.0.1", 0)
    found.start()
    yield found
    found.close()


def test_a_worker_shows_its_health_and_what_waits(watch: Watch) -> None:
    with httpx2.Client(base_url=watch.url, trust_env=False) as client:
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        assert client.get("/v1/orders").status_code == 404
        shown = client.get("/metrics").text
    for name in ("cardrail_webhook_attempts_total", "cardrail_messages_waiting", "cardrail_alerts_open"):
        assert name in shown


def test_a_worker_on_a_schema_of_another_release_is_alive_and_not_ready(watch: Watch, installation: Cardrail) -> None:
    with installation.db.transaction() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    assert [watch.answer(path)[0] for path in ("/healthz", "/readyz")] == [200, 503]


def test_a_port_in_use_is_said_at_once(watch: Watch, installation: Cardrail) -> None:
    with pytest.raises(OSError, match="in use"):
        Watch(installation, "127.0.0.1", int(watch.url.rpartition(":")[2]))
