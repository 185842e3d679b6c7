"""Every error of the docker library that ftbench knows, as its own message and cure.

The errors are the real library's: raised by a real attempt where no engine is needed for that, else
built of the status and message that dockerd 20.10.24 answered.
"""

import errno
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from docker.errors import (
    APIError,
    DockerException,
    ImageNotFound,
    NotFound,
    create_api_error_from_http_exception,
)
from docker.utils import parse_bytes
from requests import HTTPError, Response
from requests.exceptions import ChunkedEncodingError, ReadTimeout
from requests.exceptions import ConnectionError as RequestsConnectionError
from urllib3.exceptions import ProtocolError

from ftbench.engine import address, connect, engine_errors, is_lost, translate
from ftbench.errors import EngineError, ImageError

START = "start it (sudo systemctl start docker), or runtime=local, which needs no engine"
UNSET = "unset DOCKER_HOST, or DOCKER_HOST=unix:///var/run/docker.sock"
PERMISSION = (
    "sudo usermod -aG docker $USER and log in again (members of that group have root's power over "
    "this machine), or runtime=local, which needs no engine"
)
NVIDIA = (
    "install nvidia-container-toolkit and restart the engine, or runtime.num_gpus=0 for the CPU"
)
NO_NVIDIA = "the engine cannot give GPUs to a container: it has no NVIDIA runtime"
FOLDERS = "run ftbench on the machine of the engine: folders are mounted, not copied"
DISK = "docker system df shows what fills it; docker system prune frees what nothing uses"
MEMORY = "runtime.memory is no usable size"
SIZE = "a size such as runtime.memory=32g"
PULL = "a base image cannot be pulled"


def answered(status: int, message: str) -> APIError:
    """The library's error for an answer of the engine."""
    response = Response()
    response.status_code = status
    response._content = json.dumps({"message": message}).encode()
    response.url = "http+docker://localhost/v1.41/containers/create"
    try:
        create_api_error_from_http_exception(HTTPError("refused", response=response))
    except APIError as exc:
        return exc
    raise AssertionError("the library raises for every status")


def no_answer(cause: OSError) -> DockerException:
    """The library's error when the operating system refuses the connection."""
    try:
        try:
            try:
                raise cause
            except OSError as exc:
                raise ProtocolError("Connection aborted.", exc) from exc
        except ProtocolError as exc:
            raise RequestsConnectionError(exc) from exc
    except RequestsConnectionError as exc:
        text = f"Error while fetching server API version: {exc}"
        error = DockerException(text)
        error.__cause__ = exc
        return error


def problem_of(error: EngineError | ImageError) -> tuple[str, str, str]:
    (problem,) = error.problems
    return problem.tried, problem.happened, problem.cure


@pytest.mark.parametrize(
    ("status", "message", "happened", "cure"),
    [
        (500, 'could not select device driver "" with capabilities: [[gpu]]', NO_NVIDIA, NVIDIA),
        (500, 'could not select device driver "cdi" with capabilities: []', NO_NVIDIA, NVIDIA),
        (400, "Unknown runtime specified nvidia", NO_NVIDIA, NVIDIA),
        (500, "OCI runtime create failed: nvidia-container-cli: no driver", NO_NVIDIA, NVIDIA),
        (
            400,
            'invalid mount config for type "bind": bind source path does not exist: /my models/a',
            "the engine's machine has no /my models/a",
            FOLDERS,
        ),
        (
            500,
            "write /var/lib/docker/x: no space left on device",
            "the engine's disk is full",
            DISK,
        ),
        (
            404,
            "network lab-net not found",
            "there is no network lab-net",
            "docker network create lab-net, or runtime.network=bridge",
        ),
        (400, "Minimum memory limit allowed is 6MB", MEMORY, SIZE),
    ],
)
def test_translate_says_what_an_answer_of_the_engine_means(status, message, happened, cure):
    error = translate(answered(status, message), "starting a container")
    assert type(error) is EngineError
    assert problem_of(error) == ("starting a container", happened, cure)


@pytest.mark.parametrize(
    ("status", "message", "happened"),
    [
        (404, "No such image: x:none", "there is no image x:none"),
        (404, "no such image: x:none: No such image: x:none", "there is no image x:none"),
        (500, 'Get "https://r.example/v2/": dial tcp: lookup r.example: no such host', PULL),
        (500, "Get https://r.example/v2/: net/http: TLS handshake timeout", PULL),
        (500, "Get https://r.example/v2/: dial tcp 192.0.2.1:443: i/o timeout", PULL),
        (404, "pull access denied for x, repository does not exist", PULL),
        (404, "manifest for x:y not found: manifest unknown", PULL),
    ],
)
def test_translate_makes_an_image_error_of_what_concerns_images(status, message, happened):
    error = translate(answered(status, message), "image x")
    assert type(error) is ImageError
    assert problem_of(error) == ("image x", happened, "")


@pytest.mark.parametrize(
    "message",
    [
        "client version 1.60 is too new. Maximum supported API version is 1.41",
        'Conflict. The container name "/x" is already in use by container 5d41402a',
        "Duplicate mount point: /x",
        "unable to find user X: no matching entries in passwd file",
    ],
)
def test_translate_hands_on_what_it_does_not_know(message):
    assert problem_of(translate(answered(400, message), "asking")) == ("asking", message, "")


def test_translate_knows_the_librarys_own_complaint_about_a_memory_size():
    with pytest.raises(DockerException) as raised:
        parse_bytes("lots")
    assert problem_of(translate(raised.value, "creating")) == ("creating", MEMORY, SIZE)


def test_translate_takes_the_error_number_at_the_root_for_a_refused_permission():
    error = translate(no_answer(PermissionError(errno.EACCES, "Permission denied")), "engine")
    assert problem_of(error) == ("engine", "permission denied", PERMISSION)


def test_translate_finds_the_root_of_an_error_that_was_raised_while_handling_another():
    error = DockerException("x")
    error.__context__ = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    assert problem_of(translate(error, "engine")) == ("engine", "nothing listens there", START)


def test_translate_knows_an_absent_engine_of_a_client_whose_version_is_pinned():
    inner = no_answer(FileNotFoundError(errno.ENOENT, "No such file or directory")).__cause__
    assert isinstance(inner, RequestsConnectionError)
    assert problem_of(translate(inner, "engine")) == ("engine", "nothing listens there", START)


def test_translate_names_the_kind_of_an_error_that_says_nothing():
    assert problem_of(translate(ReadTimeout(), "waiting"))[1] == "ReadTimeout"


def test_translate_makes_one_line_of_several():
    assert problem_of(translate(DockerException("a\n  b\n"), "asking"))[1] == "a b"


# Real attempts to connect, where none answers.


def refusal(docker_host: str) -> tuple[str, str, str]:
    with pytest.raises(EngineError) as raised:
        connect({"DOCKER_HOST": docker_host})
    return problem_of(raised.value)


def test_connect_to_a_socket_that_is_not_there(tmp_path):
    host = f"unix://{tmp_path}/no.sock"
    assert refusal(host) == (f"container engine at {host}", "nothing listens there", START)


def test_connect_to_a_socket_that_an_engine_left_behind(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.sock"))
    host = f"unix://{tmp_path}/s.sock"
    assert refusal(host) == (f"container engine at {host}", "nothing listens there", START)


def test_connect_to_a_port_where_nothing_listens():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    assert refusal(f"tcp://127.0.0.1:{port}")[1:] == ("nothing listens there", START)


@pytest.mark.parametrize(
    "host",
    [
        "foo://bar",
        "/var/run/docker.sock",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:port",
        "tcp://127.0.0.1:99999",
    ],
)
def test_connect_to_what_is_no_address(host):
    happened = "DOCKER_HOST is no address of an engine"
    assert refusal(host) == (f"container engine at {host}", happened, UNSET)


def test_connect_over_ssh_names_the_package_that_it_needs():
    happened, cure = "ssh:// needs one more package", "pip install 'docker[ssh]'"
    assert refusal("ssh://me@host")[1:] == (happened, cure)


def test_connect_to_a_server_that_is_no_engine_says_what_it_sent():
    class Website(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Website) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        happened = refusal(f"tcp://127.0.0.1:{server.server_port}")[1]
    assert happened == (
        "Error while fetching server API version: Expecting value: line 1 column 1 (char 0)"
    )


def test_address_is_the_default_socket_unless_docker_host_says_otherwise():
    assert address({}) == address({"DOCKER_HOST": ""}) == "unix:///var/run/docker.sock"
    assert address({"DOCKER_HOST": "tcp://a:1"}) == "tcp://a:1"


def test_engine_errors_keeps_the_librarys_error_as_the_cause():
    foreign = DockerException("x")
    with pytest.raises(EngineError) as raised, engine_errors("asking"):
        raise foreign
    assert raised.value.__cause__ is foreign


def test_engine_errors_lets_other_errors_through():
    with pytest.raises(KeyError), engine_errors("asking"):
        raise KeyError("x")


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (ChunkedEncodingError("Response ended prematurely"), True),
        (RequestsConnectionError("refused"), True),
        (ConnectionResetError(errno.ECONNRESET, "reset"), True),
        (answered(500, "no"), False),
        (NotFound("no such container"), False),
        (ImageNotFound("no such image"), False),
        (DockerException("x"), False),
    ],
)
def test_is_lost_tells_a_lost_engine_from_one_that_said_no(error, lost):
    assert is_lost(error) is lost
