"""A sound machine passes; each fault is named, with what to do about it."""

import hashlib

import pytest

from posedreamer import doctor
from posedreamer.doctor import Check


@pytest.fixture
def assets(tmp_path):
    folder = tmp_path / "assets"
    (folder / "deep").mkdir(parents=True)
    (folder / "body.npz").write_bytes(b"body")
    (folder / "deep" / "judge.safetensors").write_bytes(b"judge")
    (folder / "notes.yaml").write_text("text is not listed")
    doctor.write_sums(folder)
    return folder


def test_the_list_of_assets_is_that_of_sha256sum(assets):
    lines = (assets / "SHA256SUMS").read_text().splitlines()
    assert lines == [
        f"{hashlib.sha256(b'body').hexdigest()}  body.npz",
        f"{hashlib.sha256(b'judge').hexdigest()}  deep/judge.safetensors",
    ]
    assert doctor.read_sums(assets / "SHA256SUMS") == doctor.asset_sums(assets)
    assert doctor.check_assets(assets).status == "ok"


@pytest.mark.parametrize(
    ("spoil", "status", "word"),
    [
        (lambda folder: (folder / "body.npz").write_bytes(b"BODY"), "fail", "body.npz is another file"),
        (lambda folder: (folder / "deep" / "judge.safetensors").unlink(), "fail", "judge.safetensors is missing"),
        (lambda folder: (folder / "new.npz").write_bytes(b"new"), "warn", "new.npz"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "fail", "SHA256SUMS is missing"),
    ],
)
def test_a_changed_missing_or_unlisted_asset_is_named(assets, spoil, status, word):
    spoil(assets)
    check = doctor.check_assets(assets)
    assert check.status == status
    assert word in check.detail
    assert check.fix


def test_a_broken_list_says_which_line(tmp_path):
    (tmp_path / "SHA256SUMS").write_text("not a hash\n")
    with pytest.raises(ValueError, match="not a hash"):
        doctor.read_sums(tmp_path / "SHA256SUMS")


def test_a_child_that_dies_is_a_failed_check_and_its_last_words_are_kept():
    process = doctor._start(
        "import os, sys; print('lost'); sys.stderr.write('no libGL\\n'); sys.stderr.flush(); os.abort()"
    )
    code, said = doctor._finish(process)
    assert code != 0
    assert said == "no libGL"
    assert doctor.probe_check("torch", code, said) == Check("torch", "fail", "no libGL", doctor.PROBE_FIXES["torch"])
    assert doctor.probe_check("opengl", code, said).status == "warn"


def test_a_child_that_hangs_is_ended():
    process = doctor._start("import time; time.sleep(60)")
    assert doctor._finish(process, timeout_s=0.2)[0] == 124
    assert process.returncode not in (None, 0)  # ended, not waited for


def test_a_limit_of_the_container_counts_as_memory(tmp_path):
    (tmp_path / "memory.max").write_text("1073741824\n")
    (tmp_path / "memory.current").write_text("536870912\n")
    check = doctor.check_memory(6.0, tmp_path / "memory.max")
    assert check.status == "warn"
    assert check.detail.startswith("0.5 GiB")


def test_too_little_of_anything_is_a_warning_with_a_fix(tmp_path):
    for check in (
        doctor.check_cores(10**6),
        doctor.check_memory(1e9, tmp_path / "none"),
        doctor.check_shared_memory(tmp_path, 1e9),
        doctor.check_shared_memory(tmp_path / "none"),
        doctor.check_disk(tmp_path / "not" / "yet", 1e9),
    ):
        assert check.status == "warn", check
        assert check.fix


def test_this_interpreter_and_its_pins_pass():
    assert doctor.check_python().status == "ok"
    assert doctor.check_packages().status == "ok"
    assert doctor.check_packages("no-such-distribution").status == "warn"


def test_a_gpu_is_optional_but_a_driver_without_torch_is_said():
    assert doctor.check_gpu(0, "H200", True) == Check("gpu", "ok", "H200")
    assert doctor.check_gpu(0, "", False).status == "ok"
    assert doctor.check_gpu(0, "", True).status == "warn"


def test_health_is_the_absence_of_failures():
    assert doctor.is_healthy([Check("a", "ok", ""), Check("b", "warn", "")])
    assert not doctor.is_healthy([Check("a", "ok", ""), Check("b", "fail", "")])


def test_the_doctor_loads_nothing_heavy():
    code = "import sys, posedreamer.doctor; print(sorted({'torch', 'ray', 'diffusers', 'numpy'} & set(sys.modules)))"
    assert doctor._finish(doctor._start(code)) == (0, "[]")


def test_every_probe_but_the_gpu_has_a_fix():
    assert set(doctor.PROBES) - {"gpu"} == set(doctor.PROBE_FIXES)


def test_the_embedded_assets_are_those_of_the_list():
    check = doctor.check_assets()
    assert check.status != "fail", f"{check.detail}; after a change on purpose: posedreamer.doctor.write_sums()"
