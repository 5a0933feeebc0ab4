"""List the tasks whose prompts fit a backbone, with their accuracy on their own data and on strangers' recordings."""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backbone", default="mini", help="bundled name or folder (default: mini)")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from speechprompt.backbone import Backbone

    backbone = Backbone.load(args.backbone)
    if args.json:
        print(json.dumps([p.config() for p in backbone.prompts.values()]))
        return 0
    for prompt in backbone.prompts.values():
        m = prompt.metrics
        figure = f"{m['accuracy']:.1%} of {m['n']} ({m['split']})" if "accuracy" in m else "not measured"
        if found := prompt.strangers:
            figure += f", strangers {found['right']:.1%} of {found['n']}"
        if prompt.experimental:
            figure += ", experimental"
        print(
            f"{prompt.task:24} {len(prompt.labels):4} labels  {prompt.n_parameters:7,} parameters  {figure}"
        )
    return 0
