"""Building on Ray: the same bytes, whoever is lost meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segpaste.bank import BankError, build_bank
from segpaste.bank.build import BuildProgress
from tests.bank.builds import DrawnSource, files_of

ray: Any = pytest.importorskip("ray", reason="the engine of an extra")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No reports to its makers; and nothing is left running."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # of which it warns otherwise
    # Workers import the tests' sources.
    monkeypatch.setenv("PYTHONPATH", os.getcwd(), prepend=os.pathsep)
    yield
    ray.shutdown()


def test_ray_makes_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    source = DrawnSource(notes=tmp_path / "notes")
    build_bank(source, tmp_path / "ray", engine="ray")
    assert source.worked_on() == dict.fromkeys(range(6), 1)
    assert not ray.is_initialized()  # what was started for the build ends with it
    build_bank(source, tmp_path / "one")
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "one")


@pytest.mark.nightly
def test_a_worker_that_is_lost_costs_its_shard_a_second_try(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    source = DrawnSource(trouble="die once", troubled=(2,), notes=tmp_path / "notes")
    build_bank(source, tmp_path / "ray", engine="ray", workers=2)
    assert source.worked_on() == {**dict.fromkeys(range(6), 1), 2: 2}
    build_bank(source.healthy(), tmp_path / "one")
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "one")


@pytest.mark.nightly
def test_a_ray_that_runs_is_used_and_left(tmp_path: Path) -> None:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    build_bank(DrawnSource(), tmp_path / "ray", engine="ray")
    assert ray.is_initialized()
    build_bank(DrawnSource(), tmp_path / "one")
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "one")

    path = tmp_path / "raising"
    source = DrawnSource(30, seconds=0.05, trouble="raise", troubled=(3,))
    with pytest.raises(ValueError, match="^picture 3: is no picture"):
        build_bank(source, path, engine="ray")
    assert (tmp_path / ".raising.building").is_dir()
    build_bank(source.healthy(), path, engine="ray")
    assert not (tmp_path / ".raising.building").exists()

    with pytest.raises(RuntimeError, match="^UnportableError: this and that"):
        build_bank(DrawnSource(trouble="unportable", troubled=(2,)), tmp_path / "told", engine="ray")
    with pytest.raises(
        BankError, match="^shard 2: lost 4 times on the cluster: WorkerCrashedError: "
    ) as caught:
        build_bank(DrawnSource(trouble="die", troubled=(2,)), tmp_path / "dying", engine="ray")
    assert "\n" not in str(caught.value)
    assert ray.is_initialized()


@pytest.mark.nightly
def test_a_node_that_is_lost_costs_only_its_shards(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    (tmp_path / "notes").mkdir()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        node = cluster.add_node(num_cpus=2)
        cluster.wait_for_nodes()
        source = DrawnSource(40, seconds=0.2, notes=tmp_path / "notes")
        lost: list[int] = []

        def lose_it(progress: BuildProgress) -> None:
            if progress.shards_done == 10:
                cluster.remove_node(node, allow_graceful=False)
                lost.append(progress.shards_done)

        build_bank(source, tmp_path / "ray", engine="ray", ray_address=cluster.address, progress=lose_it)
        assert not ray.is_initialized()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert lost == [10]
    again = {number: times for number, times in source.worked_on().items() if times > 1}
    assert sorted(source.worked_on()) == list(range(40))
    # Of three CPUs two are lost, with what they worked on and what nobody had fetched yet.
    assert 1 <= len(again) <= 6
    assert set(again.values()) == {2}
    build_bank(source.healthy(), tmp_path / "one")
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "one")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path, address: str) -> None:
    with pytest.raises(BankError, match=f"^ray_address: got '{address}', which cannot be reached: .*refused"):
        build_bank(DrawnSource(), tmp_path / "bank", engine="ray", ray_address=address)
