"""Bring the models of an old `./checkpoints` folder into the record, each as an experiment of its own.

Every folder in it counts as one model. Its files are copied and the old folder stays as it is. A model that
was imported before is left out, so the script can be run again when new models have turned up.

    python examples/migrate_old_checkpoints.py --checkpoints ./checkpoints
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from runbook import ExperimentManager


def old_config(model: Path) -> dict[str, Any]:
    """Read the settings that many libraries leave beside a model; without them, only its name is known."""
    try:
        settings = json.loads((model / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        settings = {}
    return {"model_name": model.name, **settings}


def migrate(checkpoints: Path) -> None:
    """Import each model folder that has not been imported yet."""
    manager = ExperimentManager()
    imported = {exp["config"].get("migrated_from") for exp in manager.list_experiments(status="completed")}
    for model in sorted(folder for folder in checkpoints.iterdir() if folder.is_dir()):
        source = str(model.resolve())
        if source in imported:
            print(f"{model.name}: imported before")
            continue
        config = {**old_config(model), "migrated_from": source}
        description = "Migrated from old checkpoint system"
        with manager.experiment(config, name=model.name, description=description, tags=["legacy"]) as exp:
            shutil.copytree(model, exp.checkpoints_dir / model.name)
            exp.note(f"copied from {source}")
        print(f"{model.name}: imported as {exp.id}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Import the models of an old checkpoints folder.")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), help="the old folder")
    arguments = parser.parse_args()
    if not arguments.checkpoints.is_dir():
        parser.error(f"there is no folder {arguments.checkpoints}; name the old one with --checkpoints")
    migrate(arguments.checkpoints)


if __name__ == "__main__":
    main()
