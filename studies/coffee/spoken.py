"""Make synthetic coffee orders, to learn slots from where recordings are few: espeak-ng speaks them.

  python -m studies.coffee.spoken --out runs/coffee_orders_synthetic.parquet
  python -m speechprompt tune --task coffee_orders --data coffee_orders.parquet --extra coffee_orders_synthetic.parquet

An order is drawn slot by slot, said as a customer would, in one of 140 voices at a pace and pitch drawn too. The file
has the columns of the packed speech, all rows in the train split. Needs espeak-ng 1.51 or newer on the PATH.
Takes a few minutes for 4000 orders.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from speechprompt.cli import run_command
from speechprompt.errors import SpeechPromptError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("runs/coffee_orders_synthetic.parquet"))
    parser.add_argument("--orders", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)


def run(args: argparse.Namespace) -> None:
    import random
    import shutil
    from concurrent.futures import ThreadPoolExecutor

    import torch
    from tqdm import tqdm

    from speechprompt.making.pretrain.corpus import write_rows
    from studies.coffee.speak import ACCENTS, SPEAKERS, draw_order, synthesise

    if shutil.which("espeak-ng") is None:
        raise SpeechPromptError("espeak-ng is not on the PATH: install it first.")
    rng = random.Random(args.seed)
    orders, ways = [], []
    for _ in range(args.orders):
        orders.append(draw_order(rng))
        ways.append((rng.choice(ACCENTS) + rng.choice(SPEAKERS), rng.randint(130, 200), rng.randint(25, 75)))
    torch.set_num_threads(1)
    with ThreadPoolExecutor(args.threads) as pool:
        clips = pool.map(lambda order, way: synthesise(order[0], *way), orders, ways)
        made = list(tqdm(clips, total=len(orders), desc="speak", unit="order"))
    rows = [
        {
            "id": f"synthetic-{number}",
            "split": "train",
            "label": json.dumps(slots),
            "text": text,
            "speaker": voice,
            "audio": audio,
        }
        for number, ((text, slots), (voice, *_), audio) in enumerate(zip(orders, ways, made, strict=True))
    ]
    write_rows(rows, args.out)
    print(f"{len(rows)} orders in {args.out}")


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.coffee.spoken", sys.modules[__name__]))
