"""List the tasks whose prompts fit a backbone, with their accuracy on their own data and on strangers' recordings."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backbone", default="mini", help="bundled name or folder (default: mini)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--hub",
        action="store_true",
        help="prompts on the Hugging Face Hub that fit the backbone, instead of those here",
    )


def run(args: argparse.Namespace) -> int:
    from speechprompt.backbone import Backbone

    backbone = Backbone.load(args.backbone)
    if args.hub:
        from speechprompt.prompts import hub

        prompts = hub.find(backbone.unit_lm_sha256)
        if args.json:
            print(json.dumps([asdict(one) for one in prompts]))
            return 0
        for one in prompts:
            print(f"{one.name:48} {one.downloads:7,} downloads{', for you alone' if one.private else ''}")
        if not prompts:
            print(f"The Hub has no prompts for backbone {backbone.name}.")
        return 0
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
