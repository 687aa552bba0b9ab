"""The studio as a program sees it: values, bad input, two clients at once."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client
from PIL import Image

from ganhub.pipeline import GANPipeline
from tests.studio.conftest import PATIENCE, connect

DEFAULTS = {"model": "digits", "label": "", "seed": 0, "num_images": 16, "truncation": 1.0}


@pytest.fixture(scope="module")
def client(studio: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return connect(studio, tmp_path_factory.mktemp("downloads"))


@pytest.fixture(scope="module")
def post(studio: str) -> Callable[[list[Any]], tuple[str, Any]]:
    """Send any JSON to /generate, as a client of one's own may; returns the last event and its data."""

    def send(data: list[Any]) -> tuple[str, Any]:
        url = f"{studio}gradio_api/call/generate"
        body = json.dumps({"data": data})  # json= would refuse NaN
        answer = httpx.post(url, content=body, headers={"content-type": "application/json"}, timeout=PATIENCE)
        if answer.status_code != 200:
            return "refused", answer.text
        lines = httpx.get(f"{url}/{answer.json()['event_id']}", timeout=PATIENCE).text.strip().splitlines()
        return lines[-2].removeprefix("event: "), json.loads(lines[-1].removeprefix("data: "))

    return send


def same_pixels(files: list[str], pictures: list[Image.Image]) -> bool:
    return len(files) == len(pictures) and all(
        np.array_equal(np.asarray(Image.open(file)), np.asarray(picture)) for file, picture in zip(files, pictures)
    )


@pytest.mark.parametrize(
    ("arguments", "labels"),
    [
        ({}, [i % 10 for i in range(16)]),
        ({"label": "7", "seed": 42, "num_images": 5}, [7] * 5),
        ({"label": 3, "seed": 42, "num_images": 2, "truncation": 0.5}, [3, 3]),
        ({"model": "frogs", "seed": 2**31 - 6, "num_images": 6}, None),
        ({"model": "frogs", "num_images": 1, "truncation": 2}, None),
    ],
)
def test_it_gives_the_pipeline_s_pixels(
    client: Client, pipelines: dict[str, GANPipeline], arguments: dict[str, Any], labels: list[int] | None
) -> None:
    files, details = client.predict(**arguments, api_name="/generate")
    asked = DEFAULTS | arguments
    expected = pipelines[asked["model"]](
        num_images=asked["num_images"], labels=labels, seed=asked["seed"], truncation=asked["truncation"]
    )
    assert same_pixels(files, expected.images)
    assert (details["seeds"], details["labels"]) == (expected.seeds, labels)
    assert details["class_names"] == (labels and [pipelines["digits"].class_names[label] for label in labels])
    assert all(Path(file).suffix == ".png" and f"_seed{seed}" in file for file, seed in zip(files, expected.seeds))


def test_its_names_and_types_are_documented(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert list(api) == ["/generate"]
    parameters = api["/generate"]["parameters"]
    assert {p["parameter_name"]: p["parameter_default"] for p in parameters} == DEFAULTS
    assert [p["python_type"]["type"] for p in parameters] == ["str", "str", "int", "int", "float"]
    assert "label: a class name or number" in api["/generate"]["description"]


BAD = [
    ("model", "cats", "model must be one of digits, frogs"),
    ("model", None, "model must be"),
    ("model", ["digits"], "model must be"),
    ("model", "../digits", "model must be"),
    ("label", "<u>", "got '<u>'"),
    ("label", "ten", "a label must be a class, 0 to 9 or zero, one, two"),
    ("label", 10, "label must be"),
    ("label", ["7"], "label must be"),
    ("label", True, "label must be"),
    ("seed", -1, "seed must be a whole number"),
    ("seed", 2**31, "seed must be"),
    ("seed", 10**30, "seed must be"),
    ("seed", 1.5, "seed must be"),
    ("seed", float("nan"), "seed must be"),
    ("seed", None, "seed must be"),
    ("seed", "1", "seed must be"),
    ("seed", [1], "seed must be"),
    ("seed", {"path": "x", "meta": {}}, "seed must be"),
    ("num_images", 0, "pictures (num_images, n) must be"),
    ("num_images", 65, "pictures (num_images, n) must be"),
    ("num_images", True, "pictures (num_images, n) must be"),
    ("truncation", 2.01, "truncation must be a number from 0 to 2"),
    ("truncation", float("nan"), "truncation must be"),
    ("truncation", "high", "truncation must be"),
    ("truncation", None, "truncation must be"),
]


@pytest.mark.parametrize(("key", "value", "message"), BAD)
def test_bad_input_is_refused_in_one_clear_line(post: Callable, key: str, value: Any, message: str) -> None:
    event, data = post(list((DEFAULTS | {key: value}).values()))
    assert event == "error"
    assert message in data["error"]
    assert "\n" not in data["error"]
    assert "Traceback" not in str(data)


def test_classes_are_refused_where_there_are_none(post: Callable) -> None:
    event, data = post(["frogs", "7", 0, 16, 1.0])
    assert (event, data["error"]) == ("error", "frogs has no classes; leave label out, got '7'")


def test_too_few_values_leak_nothing(post: Callable) -> None:
    assert post(["digits"]) == ("error", {"error": None})


def test_a_file_of_the_server_is_no_value(post: Callable, client: Client, studio: str) -> None:
    event, data = post([{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, "", 0, 1, 1.0])
    assert event != "complete"
    assert "root:" not in str(data)
    assert httpx.get(f"{studio}gradio_api/file=/etc/passwd", timeout=PATIENCE).status_code in (403, 404)


def test_visitors_at_once_each_get_their_own(studio: str, pipelines: dict[str, GANPipeline], tmp_path: Path) -> None:
    def visit(seed: int) -> list[str]:
        return connect(studio, tmp_path).predict(seed=seed, label="two", num_images=4, api_name="/generate")[0]

    seeds = [100, 200, 300, 400]
    with ThreadPoolExecutor(len(seeds)) as pool:
        answers = list(pool.map(visit, seeds))
    for seed, files in zip(seeds, answers):
        assert same_pixels(files, pipelines["digits"](num_images=4, labels=2, seed=seed).images)
