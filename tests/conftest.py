"""Strict settings for every test, and the data sets that tests share."""

import contextlib
import functools
import gc
import os
import shutil
import signal
import subprocess
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # read when JAX is first imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# One module of LLVM a program, in place of up to 32 for as many cores: the same
# optimisations, with a fifth less work.
os.environ["XLA_FLAGS"] = " ".join(
    [os.environ.get("XLA_FLAGS", ""), "--xla_cpu_parallel_codegen_split_count=1"]
)
# Else every program that the tests start would parse the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import jax
import matplotlib
import processes
import pytest
from filelock import FileLock
from hypothesis import settings
from jax.experimental.compilation_cache import compilation_cache

from experiments.kit import command, page
from jaxnets import data, process
from jaxnets.data import Dataset, tfds
from jaxnets.data import cache as data_cache
from jaxnets.data import digits as bundled
from jaxnets.errors import InputError

jax.config.update("jax_num_cpu_devices", 2)  # as `configure(all_cores=True)` on 2 cores
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)

# Where the tests run in a shell's background, Ctrl-C is ignored, and would be in every
# program that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "jaxnets",
    max_examples=20,  # each new shape is a new compilation
    deadline=None,  # likewise
    derandomize=True,  # a failure is seen by everybody or by nobody
    database=None,
)
settings.load_profile("jaxnets")


bundled.load = functools.cache(bundled.load)  # many tests load the same digits

try:
    USERS_DATASETS = tfds.data_folder(None)
except InputError:  # there is no home folder
    USERS_DATASETS = None
# Markers whose tests --require-mnist does not let skip.
NEEDED = ("mnist", "keras", "browser")
# Fixtures that run an experiment from its command line to its page. What uses them is
# marked slow; `pytest` leaves it out, `pytest -m slow` runs it.
WHOLE_RUNS = {"finished", "climbed", "broken", "killed"}
NAMES_OF_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-mnist",
        action="store_true",
        help="fail where a test with MNIST, Keras or a browser would be skipped",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "keras: needs TensorFlow; skipped, saying why, where it is not"
    )
    config.addinivalue_line("filterwarnings", "error")


@pytest.hookimpl(tryfirst=True)  # before those that are not asked for are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if WHOLE_RUNS & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


def _mnist_is_prepared() -> bool:
    """Whether tensorflow-datasets has it, as after a run of an experiment."""
    return USERS_DATASETS is not None and tfds.prepared_in("mnist", USERS_DATASETS)


def _mnist_is_here() -> bool:
    return bool(os.environ.get("JAXNETS_MNIST_DIR")) or _mnist_is_prepared()


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES_OF_CHROMIUM)), None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("mnist"):
        if not _mnist_is_here():
            pytest.skip(
                "no MNIST: run experiments.compare, which prepares it, or set "
                "JAXNETS_MNIST_DIR to its four original files"
            )
        pytest.importorskip("tensorflow", reason="MNIST is decoded by TensorFlow")
    if item.get_closest_marker("browser"):
        pytest.importorskip("playwright", reason="playwright is not installed")
        if _chromium() is None:
            pytest.skip("no Chromium: install the system's package chromium")
    if item.get_closest_marker("keras"):
        pytest.importorskip("tensorflow", reason="TensorFlow is not installed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    needed = any(item.get_closest_marker(name) for name in NEEDED)
    if report.skipped and needed and item.config.getoption("--require-mnist"):
        report.outcome = "failed"
        report.longrepr = f"skipped in spite of --require-mnist: {report.longrepr}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Look for unclosed files once; pytest does it five times, Python again at exit."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_folders(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory):
    """Caches of the user are left alone; MNIST is read where it is prepared.

    Compiled programs are shared by pytest-xdist's processes, and kept by pytest's cache
    for the next session: compiling takes most of a first session's time.
    """
    shared = _folder_of_all_workers(tmp_path_factory)
    cache = getattr(pytestconfig, "cache", None)
    compiled = cache.mkdir("compiled") if cache else shared / "compiled"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(compiled))
        patch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())  # a list of fonts
        if not os.environ.get("TFDS_DATA_DIR"):
            datasets = shared / "datasets"
            (datasets / "jaxnets").mkdir(parents=True, exist_ok=True)
            if _mnist_is_prepared():
                decoded = data_cache.path(USERS_DATASETS, "mnist")
                for path in (USERS_DATASETS / "mnist", decoded):
                    link = datasets / path.relative_to(USERS_DATASETS)
                    if path.exists():
                        with contextlib.suppress(FileExistsError):  # by another process
                            link.symlink_to(path)
            patch.setenv("TFDS_DATA_DIR", str(datasets))
        command.configure()  # as programs do: what compiles long compiles once
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.01)
        compilation_cache.reset_cache()  # so that the new folder counts
        yield


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch):
    """Pictures are not drawn, which the kit's tests judge and which takes long."""
    monkeypatch.setattr(
        page, "draw", lambda picture, _: page.Drawn(*picture[:3], png=b"")
    )


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch):
    """What goes to a process of its own runs here; see `processes.iterate_here`."""
    monkeypatch.setattr(process, "iterate", processes.iterate_here)


def _folder_of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder that pytest-xdist's processes share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def chromium() -> str | None:
    """The browser's program; there for tests that are marked `browser`."""
    return _chromium()


@pytest.fixture(scope="session")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The real MNIST; only for tests that are marked `mnist`."""
    lock = _folder_of_all_workers(tmp_path_factory) / "mnist.lock"
    with FileLock(lock):  # one process prepares it, the others read what it keeps
        return data.load("mnist")


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """scikit-learn's bundled digits: 1,198, 239 and 360 images of 28x28 pixels."""
    return data.load("digits")


@pytest.fixture(scope="session")
def thousand_digits() -> Dataset:
    """As many as leave no short batch of 25, which would compile apart."""
    digits = data.load("digits")
    return digits._replace(train=digits.train.split(1000)[0])


def _mounted(folder: Path, options: str):
    """A file system in memory, mounted for one test where the user may mount."""
    folder.mkdir()
    program = shutil.which("mount")
    if program is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root on Linux may mount the small file system of this test")
    mount = [program, "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    result = subprocess.run(mount, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"mount is not allowed here: {result.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path):
    """A folder on a file system of 64 KiB."""
    yield from _mounted(tmp_path / "small_disk", "size=64k")


@pytest.fixture
def read_only_disk(tmp_path: Path):
    """A folder on a file system that nobody, root included, may write to."""
    yield from _mounted(tmp_path / "read_only_disk", "size=64k,ro")
