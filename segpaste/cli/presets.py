"""``segpaste presets``, and presets by name or file for other commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segpaste.cli.app import PASSED, UsageError

if TYPE_CHECKING:
    from segpaste.presets import PresetConfig


def list_all(name: str | None) -> int:
    """Print all presets with what they are for; or one of them, as YAML."""
    from segpaste.presets import get_preset, list_presets

    if name is not None:
        print(preset_of("NAME", name).to_yaml(), end="")
        return PASSED
    for known in list_presets():
        preset = get_preset(known)
        print(f"{known}\n  {preset.description}")
        for run in preset.sign_off:
            height, width = run.canvas
            print(
                f"  signed off: {run.data}, {run.samples} samples of {height} x {width}, "
                f"{run.laws_held} laws held (segpaste {run.version})"
            )
    return PASSED


def preset_of(option: str, given: str) -> PresetConfig:
    """The preset of that name, or in that YAML file.

    Raises:
        UsageError: naming the option.
    """
    import yaml
    from pydantic import ValidationError

    from segpaste.presets import PresetConfig, get_preset

    path = Path(given)
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        try:
            return get_preset(given)
        except KeyError as error:
            said = str(error.args[0]).removeprefix("name: ")
            raise UsageError(f"{option}: {said} (or a .yaml file)") from None
    try:
        return PresetConfig.from_yaml(path)
    except OSError as error:
        raise UsageError(f"{option}: cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{option}: {path} is no YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:  # a ValueError of many lines
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise UsageError(f"{option}: {path}: {where or 'preset'}: {first['msg']}{more}") from None
    except ValueError as error:
        said = str(error).removeprefix("text: ")
        raise UsageError(f"{option}: {path}: {said}") from None
