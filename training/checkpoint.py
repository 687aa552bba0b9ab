"""The state of a run on disk: safetensors and JSON, whole or not there at all, exact to the bit.

    checkpoints/000800/   one folder a checkpoint, named by its step
        generator, discriminator, ema, g_optimizer, d_optimizer .safetensors
        memory.safetensors             where the objective or ADA remembers something
        rng-0.safetensors              torch's random state, one file a process
        state.json                     clock, optimiser settings, digest of the data
    checkpoints/latest -> 000800

A checkpoint is written aside, flushed to the disk and renamed. Older ones go only after that.
"""

import json
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

import ganhub
from ganhub.errors import UserError, first_line, shorten
from ganhub.files import read_object
from ganhub.models.base import Discriminator, Generator
from training.clock import Clock
from training.recipe import Recipe


@dataclass
class TrainState:
    """Everything that a step reads and changes, but the data and the random state."""

    generator: Generator
    discriminator: Discriminator
    ema: Generator
    g_optimizer: Optimizer
    d_optimizer: Optimizer
    memory: dict[str, Tensor]
    """Numbers that the objective and ADA carry from step to step."""
    clock: Clock
    data_digest: str
    class_names: tuple[str, ...]

    def networks(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "ema": self.ema}

    def optimizers(self) -> dict[str, Optimizer]:
        return {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}


def folders(run_dir: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    found = [path for path in (run_dir / "checkpoints").glob("*") if path.name.isdecimal() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


def save(run_dir: Path, state: TrainState, accelerator: Accelerator, keep: int) -> Path:
    """Write one checkpoint; call it on every process.

    Raises:
        UserError: the disk is full or can't be written. The checkpoints before it are untouched.
    """
    final = run_dir / "checkpoints" / f"{state.clock.steps:06d}"
    aside = final.with_name(f".{final.name}.partial")
    try:
        if accelerator.is_main_process:
            for stopped in final.parent.glob(".*.partial"):
                discard(stopped)
            aside.mkdir(parents=True)
        accelerator.wait_for_everyone()
        _save_tensors(random_state(), aside / f"rng-{accelerator.process_index}.safetensors")
        if accelerator.is_main_process:
            _write(state, aside)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            _publish(aside, final, keep)
    except (OSError, SafetensorError) as error:
        discard(aside)
        raise UserError(f"{final}: can't be written ({error}); free the disk and go on with --resume") from error
    return final


def discard(path: Path) -> None:
    """Remove what a stopped save left, a folder or a link."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _write(state: TrainState, folder: Path) -> None:
    for name, network in state.networks().items():
        _save_tensors(network.state_dict(), folder / f"{name}.safetensors")
    if state.memory:
        _save_tensors(state.memory, folder / "memory.safetensors")
    settings = {}
    for name, optimizer in state.optimizers().items():
        tensors, settings[name] = split_optimizer(optimizer)
        _save_tensors(tensors, folder / f"{name}.safetensors")
    record = {
        "clock": state.clock.state_dict(),
        "data_digest": state.data_digest,
        "class_names": state.class_names,
        "environment": environment(state.generator),
        "optimizers": settings,
    }
    file = folder / "state.json"
    file.write_text(json.dumps(record, indent=2) + "\n")
    _flush(file)
    _flush(folder)


def _publish(aside: Path, final: Path, keep: int) -> None:
    if final.exists():  # saved at this very step already
        shutil.rmtree(aside)
        return
    os.replace(aside, final)
    link = final.with_name(".latest.partial")
    link.unlink(missing_ok=True)
    link.symlink_to(final.name)
    os.replace(link, final.with_name("latest"))
    _flush(final.parent)
    for old in folders(final.parent.parent)[:-keep]:
        shutil.rmtree(old)


def device_name(device: torch.device) -> str:
    """As a card has it, and `training.energy` knows it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    return f"{os.cpu_count()} CPU cores ({torch.get_num_threads()} used)" if device.type == "cpu" else str(device)


def environment(network: nn.Module) -> dict[str, str]:
    """Where a run runs, for its card."""
    return {
        "device": device_name(next(network.parameters()).device),
        "versions": f"ganhub {ganhub.__version__}, torch {torch.__version__}, Python {platform.python_version()}",
    }


def find(run_dir: Path, step: int | None = None) -> Path:
    """The folder of one checkpoint, by its step, or of the newest.

    Raises:
        UserError: there is none.
    """
    found = {int(path.name): path for path in folders(run_dir)}
    if not found:
        raise UserError(f"{run_dir}: no checkpoint here; is it the folder of a run?")
    if step is not None and step not in found:
        raise UserError(f"{run_dir}: no checkpoint of step {step}; there are {', '.join(map(str, found))}")
    return found[max(found) if step is None else step]


def read_record(folder: Path) -> dict[str, Any]:
    try:
        record = read_object(folder / "state.json")
    except (OSError, UserError) as error:
        raise unusable(folder, error) from error
    for key in ("clock", "class_names"):
        if key not in record:
            raise unusable(folder, KeyError(key))
    return record


def unusable(folder: Path, error: BaseException) -> UserError:
    """The line for a checkpoint that can't be loaded: only one that is damaged should be deleted."""
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        return UserError(f"{folder}: can't be read ({first_line(error)}); mend that and try again")
    if isinstance(error, RuntimeError):
        reason = " ".join(str(error).split())
        return UserError(f"{folder}: fits neither this recipe nor this version of ganhub ({shorten(reason, 200)})")
    return UserError(f"{folder}: damaged ({first_line(error)}); delete it to go on from the checkpoint before it")


def load_networks(folder: Path, recipe: Recipe, num_classes: int) -> tuple[Generator, Discriminator]:
    """The averaged generator and the discriminator of a checkpoint, in eval mode, on the CPU.

    Raises:
        UserError: the checkpoint is damaged or another recipe's.
    """
    generator, discriminator = recipe.build(num_classes)
    try:
        generator.load_state_dict(load_file(folder / "ema.safetensors"))
        discriminator.load_state_dict(load_file(folder / "discriminator.safetensors"))
    except torch.OutOfMemoryError:
        raise
    except (OSError, SafetensorError, RuntimeError) as error:
        raise unusable(folder, error) from error
    return generator.eval(), discriminator.eval()


def load(run_dir: Path, state: TrainState, accelerator: Accelerator) -> None:
    """Continue from the newest checkpoint: fills `state` in place and sets torch's random state.

    Raises:
        UserError: there is none, it is damaged, or it belongs to other data or another number of processes.
    """
    folder = find(run_dir)
    record = read_record(folder)
    try:
        if record["data_digest"] != state.data_digest:
            raise UserError(f"{folder}: was trained on other pictures than --data gives now; use the same data set")
        if len(list(folder.glob("rng-*"))) != accelerator.num_processes:
            raise UserError(f"{folder}: was written by another number of processes; resume with the same number")
        for name, network in state.networks().items():
            network.load_state_dict(load_file(folder / f"{name}.safetensors"))
        for name, optimizer in state.optimizers().items():
            join_optimizer(optimizer, load_file(folder / f"{name}.safetensors"), record["optimizers"][name])
        if state.memory:
            for name, value in load_file(folder / "memory.safetensors").items():
                state.memory[name].copy_(value)
        rng = load_file(folder / f"rng-{accelerator.process_index}.safetensors")
        state.clock.load_state_dict(record["clock"])
        set_random_state(rng)
    except torch.OutOfMemoryError:
        raise
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise unusable(folder, error) from error


def random_state() -> dict[str, Tensor]:
    """torch's generators: all that the training loop draws from."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])


def split_optimizer(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as tensors named "PARAMETER.KEY" and a JSON-ready rest."""
    whole = optimizer.state_dict()
    entries = {f"{i}.{key}": value for i, state in whole["state"].items() for key, value in state.items()}
    tensors = {key: value for key, value in entries.items() if isinstance(value, Tensor)}
    rest = {key: value for key, value in entries.items() if not isinstance(value, Tensor)}
    return tensors, {"param_groups": whole["param_groups"], "values": rest}


def join_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor], settings: dict[str, Any]) -> None:
    """The inverse of `split_optimizer`; moments take their parameter's memory layout, on which rounding can depend."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for entry, value in {**tensors, **settings["values"]}.items():
        index, key = entry.split(".", 1)
        parameter = parameters[int(index)]
        if isinstance(value, Tensor) and value.shape == parameter.shape and key != "step":  # Adam reads it on the CPU
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": settings["param_groups"]})


def _save_tensors(tensors: dict[str, Tensor], file: Path) -> None:
    save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, file)
    _flush(file)


def _flush(path: Path) -> None:
    """Ask the system to put a file, or a folder's entries, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
