"""A headless Chromium, driven through its own pipe protocol: no driver and no package is needed.

Run as a program it takes the picture of an experiment's page that the README shows:

    scripts/screenshot TRACKING_URI EXPERIMENT PNG [--view ftbench-training] [--mode CHART]
    scripts/screenshot http://127.0.0.1:5000 ftbench docs/img/mlflow-leaderboard.png

The tracking URI is that of a server, or of a sqlite database, which is then served for the picture.
Source of the protocol: Chrome DevTools Protocol, ``--remote-debugging-pipe`` (messages are JSON,
ended by a NUL byte, on file descriptors 3 and 4).
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

BINARIES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_PREPARE = """
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
addEventListener('DOMContentLoaded', () => document.head.insertAdjacentHTML('beforeend',
  '<style>[data-assistant-ui], .modebar { display: none !important; }</style>'));
"""
"""On a first visit MLflow's assistant opens over a third of the page. The tools of its charts show
only under a mouse pointer, which a headless browser does not have."""

_DISMISS = '[data-component-id="mlflow.experiment_page.shared_view.dismiss"]'


def find_chromium() -> str | None:
    """Path of an installed Chromium or Chrome, or None."""
    return next((path for name in BINARIES if (path := shutil.which(name))), None)


class Browser:
    """One page of a headless Chromium; a context manager that ends it."""

    def __init__(self, width: int = 1600, height: int = 900) -> None:
        """Starts it.

        Args:
            width, height: Of the page, in pixels.

        Raises:
            FileNotFoundError: No Chromium is installed.
        """
        binary = find_chromium()
        if binary is None:
            raise FileNotFoundError("no chromium found: apt-get install chromium")
        self._profile = tempfile.TemporaryDirectory(
            prefix="ftbench-browser-", ignore_cleanup_errors=True
        )
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        self._process = _start(binary, self._profile.name, to_browser, from_browser)
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._last_id = 0
        self._session = ""
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._send("Page.enable")
        self._send("Page.addScriptToEvaluateOnNewDocument", source=_PREPARE)
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def open(self, url: str, wanted: str, timeout_s: float = 60.0) -> None:
        """Opens a page and waits until it shows a text, then until it stands still.

        Raises:
            TimeoutError: The text did not appear; the message has what the page shows.
        """
        self._send("Page.navigate", url="about:blank")
        self._send("Page.navigate", url=url)
        self.wait_for(wanted, timeout_s)
        before, deadline = "", time.monotonic() + 15
        while time.monotonic() < deadline:
            time.sleep(0.7)
            now = str(self.run("document.body.innerHTML.length + document.body.innerText"))
            if now == before:
                return
            before = now

    def wait_for(self, wanted: str, timeout_s: float = 60.0) -> None:
        """Waits until the page shows a text.

        Raises:
            TimeoutError: It did not in time.
        """
        deadline = time.monotonic() + timeout_s
        while wanted not in self.text():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{wanted!r} is not on the page, which shows:\n{self.text()}")
            time.sleep(0.3)

    def text(self) -> str:
        """The page's visible text."""
        return str(self.run("document.body ? document.body.innerText : ''"))

    def run(self, script: str) -> Any:
        """Evaluates JavaScript in the page and returns its plain value."""
        answer = self._send("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Writes what the page shows as a PNG file."""
        shot = self._send("Page.captureScreenshot", format="png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        """Ends the browser and removes its profile."""
        os.close(self._write)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        self._profile.cleanup()

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive(timeout_s=60.0)
            if answer.get("id") != self._last_id:
                continue
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            return dict(answer["result"])

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], timeout_s)[0]:
                raise TimeoutError("the browser does not answer")
            chunk = os.read(self._read, 1 << 16)
            if not chunk:
                raise RuntimeError("the browser ended")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(line))


def _start(
    binary: str, profile: str, to_browser: int, from_browser: int
) -> subprocess.Popen[bytes]:
    # Chromium reads descriptor 3 and writes descriptor 4; a shell is what can put them there.
    command = [
        "bash",
        "-c",
        f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}',
        binary,
        "--headless=new",
        "--remote-debugging-pipe",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
        f"--user-data-dir={profile}",
    ]
    return subprocess.Popen(
        command,
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def free_port() -> int:
    """A TCP port that nothing listens on.

    Not one of those that the kernel gives to whoever asks for any port (32768 and above): between
    this call and the use of it another process would get it now and then.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


@contextmanager
def mlflow_server(
    store: str,
    port: int = 0,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[str]:
    """Serves a tracking store on this machine and yields the server's URL.

    Args:
        store: Backend store URI, such as ``sqlite:////tmp/mlflow.db``.
        port: 0 for a free one.
        environment: Further variables of the server.
        folder: For its artifacts and its log; None: where the sqlite file is.
    """
    process, url = start_mlflow_server(store, port, environment, folder)
    try:
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            kill_mlflow_server(process)


def kill_mlflow_server(process: subprocess.Popen[bytes]) -> None:
    """Kills a server at once, with its worker: that one answers on when only its parent is gone."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def start_mlflow_server(
    store: str,
    port: int = 0,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> tuple[subprocess.Popen[bytes], str]:
    """Starts a server and waits until it answers; the caller ends the process."""
    port = port or free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    folder = folder or Path(store.removeprefix("sqlite:///")).parent
    command += ["--artifacts-destination", str(folder / "artifacts")]
    env = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Without it the server starts eleven processes.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **(environment or {}),
    }
    log = (folder / "server.log").open("ab")
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
    )
    log.close()
    url = f"http://127.0.0.1:{port}"
    # On a busy machine it takes minutes.
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return process, url
        except OSError:
            time.sleep(0.2)
    kill_mlflow_server(process)
    raise RuntimeError(f"mlflow server did not start: {(folder / 'server.log').read_text()}")


def picture(url: str, experiment: str, view: str, mode: str, path: Path, size: str) -> None:
    """Takes the picture of a saved view of an experiment."""
    api = f"{url}/api/2.0/mlflow/experiments/get-by-name?experiment_name={quote(experiment)}"
    with urllib.request.urlopen(api, timeout=30) as answer:
        found = json.load(answer)["experiment"]
    tags = {tag["key"] for tag in found.get("tags", [])}
    if f"mlflow.sharedViewState.{view}" not in tags:
        raise SystemExit(f"experiment {experiment!r} has no saved view {view!r}")
    page = f"{url}/#/experiments/{found['experiment_id']}/runs?viewStateShareKey={view}"
    page += "&workflowType=machine_learning" + (f"&compareRunsMode={mode}" if mode else "")
    width, _, height = size.partition("x")
    with Browser(int(width), int(height)) as browser:
        browser.open(page, "bench/avg")
        # The notice that this is a shared view says nothing about the runs.
        browser.run(f"document.querySelector({json.dumps(_DISMISS)})?.click()")
        time.sleep(1)
        browser.screenshot(path)
    print(f"{path}: {path.stat().st_size // 1024} KiB")


def main() -> None:
    """The command line, see the module's description."""
    parser = argparse.ArgumentParser(prog="scripts/screenshot", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("tracking_uri")
    parser.add_argument("experiment")
    parser.add_argument("png", type=Path)
    parser.add_argument("--view", default="ftbench-training", help="key of the saved view")
    parser.add_argument("--mode", default="", help="empty: table; CHART or ARTIFACT")
    parser.add_argument("--size", default="1600x560", help="WIDTHxHEIGHT in pixels")
    options = parser.parse_args()
    wanted = (options.experiment, options.view, options.mode, options.png, options.size)
    if options.tracking_uri.startswith("http"):
        picture(options.tracking_uri.rstrip("/"), *wanted)
        return
    with mlflow_server(options.tracking_uri) as url:
        picture(url, *wanted)


if __name__ == "__main__":
    main()
