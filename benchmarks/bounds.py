"""What a prompt could reach: plain classifiers trained on the same units, and on log-mel frames, beside it.

    python benchmarks/bounds.py DATA_FOLDER --task emotion_german --split valid

The classifier on units (embedding, two-way GRU, mean and maximum over time) shows how much of the answer is
in the deduplicated units at all, whatever the unit LM makes of them; of a backbone that hears melody it is
given the units alone. The one on log-mel frames of the recording (two strided convolutions before the same)
shows what the encoder gave away. Both see every train clip of the task 12 times, undisturbed but for a tenth
that is dropped, and are read after the last pass; the majority class is that of the train split. Of a task that
fills slots, each label is decided on its own and an answer counts when all are right.

With --as-tuned the classifier on units learns from what tuning learns from: so many simulated recordings of each
clip too, and of a task whose channel is controlled none as it is (then no classifier sees log-mels).

3000 clips of a second or two take up to 5 minutes on two cores; longer clips and simulated ones take longer.
--clips is for a quick look.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent.parent))  # from a clone that is not installed

from benchmarks.accuracy import data_files, heard_once, of_split
from speechprompt import dataset
from speechprompt.backbone import Backbone
from speechprompt.card import percent
from speechprompt.dataset import Example, at_most
from speechprompt.encoder import LogMel
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation import check_answers, evaluate, to_units, waveform_of
from speechprompt.metrics import wilson_interval
from speechprompt.recipe import labels_in_order
from speechprompt.tasks import TASKS
from speechprompt.units import Units

EMBEDDING, HIDDEN = 96, 128
N_MELS = 80
PASSES, BATCH, PEAK = 12, 64, 3e-3
DROPPED, SMOOTHING = 0.1, 0.05


class Pooled(nn.Module):
    """Vectors [B, T, D] of the given lengths -> logits [B, C]: two-way GRU, mean and maximum over time.

    Each way is a GRU of its own over padded vectors, which takes two thirds of the time of packed ones; what
    comes after the end is left out of the pools, which do not care for the order.
    """

    def __init__(self, width: int, n_labels: int) -> None:
        super().__init__()
        self.ways = nn.ModuleList(nn.GRU(width, HIDDEN, batch_first=True) for _ in range(2))
        self.out = nn.Linear(4 * HIDDEN, n_labels)

    def forward(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        at = torch.arange(vectors.shape[1])
        backwards = (lengths[:, None] - 1 - at).clamp(min=0)
        turned = vectors.gather(1, backwards[..., None].expand_as(vectors))
        pairs = zip(self.ways, (vectors, turned), strict=True)
        states = torch.cat([way(ordered)[0] for way, ordered in pairs], -1)
        beyond = (at >= lengths[:, None])[..., None]
        mean = states.masked_fill(beyond, 0).sum(1) / lengths[:, None]
        most = states.masked_fill(beyond, -torch.inf).amax(1)
        return self.out(torch.cat((mean, most), -1))


class UnitClassifier(nn.Module):
    """Unit ids int64 [T] each -> logits [B, C]."""

    def __init__(self, n_units: int, n_labels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_units, EMBEDDING)
        self.pooled = Pooled(EMBEDDING, n_labels)

    def forward(self, utterances: Sequence[Tensor]) -> Tensor:
        lengths = torch.tensor([len(ids) for ids in utterances])
        return self.pooled(self.embedding(pad_sequence(list(utterances), batch_first=True)), lengths)

    @staticmethod
    def disturbed(ids: Tensor) -> Tensor:
        """Without a tenth of its units."""
        kept = ids[torch.rand(len(ids)) >= DROPPED]
        return kept if len(kept) else ids


class MelClassifier(nn.Module):
    """Log-mel frames float16 [T, N_MELS] each, 10 ms apart -> logits [B, C]."""

    def __init__(self, n_labels: int) -> None:
        super().__init__()
        widths = (N_MELS, EMBEDDING)
        self.convolutions = nn.ModuleList(nn.Conv1d(w, EMBEDDING, 5, stride=2, padding=2) for w in widths)
        self.pooled = Pooled(EMBEDDING, n_labels)

    def forward(self, utterances: Sequence[Tensor]) -> Tensor:
        lengths = torch.tensor([len(mel) for mel in utterances])
        vectors = pad_sequence([mel.float() for mel in utterances], batch_first=True).transpose(1, 2)
        for convolution in self.convolutions:
            vectors, lengths = F.gelu(convolution(vectors)), (lengths + 1) // 2
            beyond = torch.arange(vectors.shape[2]) >= lengths[:, None]  # would leak into the last frames
            vectors = vectors.masked_fill(beyond[:, None], 0)
        return self.pooled(vectors.transpose(1, 2), lengths)

    @staticmethod
    def disturbed(mel: Tensor) -> Tensor:
        """A tenth of the time and a tenth of the bands, each in one stretch, become zero."""
        mel = mel.clone()
        for axis in (0, 1):
            size = round(DROPPED * mel.shape[axis])
            mel.narrow(axis, int(torch.randint(mel.shape[axis] - size + 1, ())), size).zero_()
        return mel


Classifier = UnitClassifier | MelClassifier
Labels = tuple[int, ...]


def trained(
    make: Callable[[], Classifier],
    inputs: Sequence[Tensor],
    truth: Sequence[Labels],
    seed: int,
    name: str,
    many: bool = False,
) -> Classifier:
    """A classifier after PASSES over the inputs; deterministic by the seed on one machine and thread count.

    many: an answer is a set of labels, each decided on its own, and not one of them.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, rng = make(), random.Random(seed)
        steps = PASSES * -(-len(inputs) // BATCH)
        optimizer = torch.optim.AdamW(model.parameters(), PEAK)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=steps)
        with tqdm(total=steps, desc=name, mininterval=2) as progress:
            for _ in range(PASSES):
                for group in groups(inputs, rng):
                    logits = model([model.disturbed(inputs[i]) for i in group])
                    loss = loss_of(logits, [truth[i] for i in group], many)
                    optimizer.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
                    schedule.step()
                    progress.update()
    return model.eval()


def loss_of(logits: Tensor, due: Sequence[Labels], many: bool) -> Tensor:
    if not many:
        return F.cross_entropy(logits, torch.tensor([label for (label,) in due]), label_smoothing=SMOOTHING)
    wanted = torch.zeros_like(logits)
    for row, labels in zip(wanted, due, strict=True):
        row[list(labels)] = 1
    return F.binary_cross_entropy_with_logits(logits, wanted)


def groups(inputs: Sequence[Tensor], rng: random.Random | None = None) -> list[list[int]]:
    """Batches of like length, which saves padding; with rng the pass is another one each time."""
    order = list(range(len(inputs)))
    if rng:
        rng.shuffle(order)
        pools = [order[at : at + 16 * BATCH] for at in range(0, len(order), 16 * BATCH)]
    else:
        pools = [order]
    found = []
    for pool in pools:
        pool.sort(key=lambda i: len(inputs[i]))
        found += [pool[at : at + BATCH] for at in range(0, len(pool), BATCH)]
    if rng:
        rng.shuffle(found)
    return found


@torch.inference_mode()
def right(model: Classifier, inputs: Sequence[Tensor], truth: Sequence[Labels], many: bool = False) -> int:
    """How many inputs get their label, or all their labels and no other."""
    found = 0
    for group in groups(inputs):
        for i, row in zip(group, model([inputs[i] for i in group]), strict=True):
            answer = (row > 0).nonzero()[:, 0] if many else row.argmax()[None]
            found += set(answer.tolist()) == set(truth[i])
    return found


def log_mels(examples: Sequence[Example]) -> list[Tensor]:
    """Log-mel frames float16 [2·(T // 320), N_MELS] of each recording, as the encoder's own front end makes them."""
    front = LogMel(N_MELS)
    with torch.inference_mode():
        return [
            front(torch.from_numpy(waveform_of(example))[None])[0].half()
            for example in tqdm(examples, desc="log-mels", unit="clip", mininterval=2)
        ]


def id_tensors(utterances: Sequence[Units]) -> list[Tensor]:
    return [torch.from_numpy(units.ids.astype("int64")) for units in utterances]


def bounds(
    backbone: Backbone,
    task: str,
    folder: Path,
    split: str,
    clips: int = 0,
    seed: int = 0,
    extra: Sequence[Path] = (),
    copies: int = 0,
    per_label: int = 0,
) -> tuple[str, int, list[tuple[str, int | None, str]]]:
    """(split, n, rows of (what, how many of n are right or None, remark)); SpeechPromptError for other tasks.

    extra: files whose train examples are learnt from too. copies: simulated recordings of each train clip,
    as tuning makes them. per_label: at most so many train examples of each answer, 0 for all.
    """
    # An order of labels that each stand once is fixed by the task, so their set is the answer.
    if task not in TASKS or (TASKS[task].answer == "sequence" and "slots" not in TASKS[task].label_rule):
        raise SpeechPromptError(
            f"{task} is not a task of one label or of slots in speechprompt/tasks.py: bounds are for those alone."
        )
    many = TASKS[task].answer != "label"
    prompt = backbone.prompts.get(task)
    rule = prompt.label_rule if prompt else TASKS[task].label_rule
    examples = dataset.read(data_files(folder, task, backbone.has_encoder), rule)
    train = [example for example in examples if example.split == "train"]
    train += [example for file in extra for example in dataset.read(file, rule, "train")]
    name, held_out = of_split(examples, split)
    if per_label:
        train = at_most(train, per_label, seed)
    if clips:
        rng = random.Random(seed)
        train, held_out = (rng.sample(part, min(clips, len(part))) for part in (train, held_out))
    labels = labels_in_order(TASKS[task], train)
    if len(labels) < 2:
        raise SpeechPromptError(
            f"The train split of {task} has fewer than two labels: nothing can be learnt."
        )
    if prompt:
        check_answers(prompt, held_out)
    truth = [tuple(map(labels.index, example.labels)) for example in train]
    # A label that the train split lacks is answered by nobody.
    due = [tuple(labels.index(one) if one in labels else -1 for one in e.labels) for e in held_out]
    (majority, _), *_ = Counter(truth).most_common()
    rows: list[tuple[str, int | None, str]] = [
        ("majority class", due.count(majority), ", ".join(labels[label] for label in majority)),
    ]

    heard: dict[bytes, Units] = {}  # an extra file may be given more than once
    asked = heard_once(backbone, held_out, heard)
    if copies:
        known = to_units(backbone, train, copies, seed, TASKS[task].channel)
        truth *= len(known) // len(train)  # units that the data has itself are never simulated
    else:
        known = heard_once(backbone, train, heard)
    if any(example.audio is None for example in (*train, *held_out)):
        rows.append(("log-mel classifier", None, "the data has units and no recordings"))
    elif copies:
        rows.append(("log-mel classifier", None, "learns from clips as they are, without --as-tuned"))
    else:
        began = time.perf_counter()
        mels = log_mels(train)
        model = trained(lambda: MelClassifier(len(labels)), mels, truth, seed, "log-mel classifier", many)
        rows.append(("log-mel classifier", right(model, log_mels(held_out), due, many), spent(model, began)))
    began = time.perf_counter()
    inputs, asked_ids = id_tensors(known), id_tensors(asked)
    model = trained(
        lambda: UnitClassifier(backbone.n_units, len(labels)), inputs, truth, seed, "unit classifier", many
    )
    rows.append(("unit classifier", right(model, asked_ids, due, many), spent(model, began)))
    if prompt:
        found = evaluate(backbone, prompt, held_out, asked)
        rows.append(
            ("bundled prompt", round(found["accuracy"] * found["n"]), f"{prompt.n_parameters:,} parameters")
        )
    else:
        rows.append(("bundled prompt", None, "there is none"))
    return name, len(held_out), rows


def spent(model: nn.Module, began: float) -> str:
    return f"{sum(p.numel() for p in model.parameters()):,} parameters, {time.perf_counter() - began:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER", help="holds the parquet files")
    parser.add_argument(
        "--task", required=True, metavar="T", help="one that answers with one label or fills slots"
    )
    parser.add_argument(
        "--extra", type=Path, nargs="+", default=[], metavar="FILE.parquet", help="train examples to add"
    )
    parser.add_argument(
        "--as-tuned",
        type=int,
        default=0,
        metavar="COPIES",
        help="what tune calls --augment (default 0: clips as they are)",
    )
    parser.add_argument(
        "--per-label", type=int, default=0, metavar="N", help="as tune has it (default 0: all)"
    )
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--split", default="valid", help="what the answers are counted on (default: valid)")
    parser.add_argument("--clips", type=int, default=0, metavar="N", help="at most N of either split")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--threads", type=int, default=1, help="default 1: steps this small gain nothing from two"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        backbone = Backbone.load(args.backbone)
        chosen = (args.clips, args.seed, args.extra, args.as_tuned, args.per_label)
        split, n, rows = bounds(backbone, args.task, args.folder, args.split, *chosen)
    except SpeechPromptError as error:
        raise SystemExit(f"{error}") from None
    print(f"{args.task} on {backbone.name}, {n} utterances of the {split} split\n")
    print("| | accuracy | 95 % interval | |\n|---|---|---|---|")
    for what, hits, remark in rows:
        cells = ["–", "–"]
        if hits is not None:
            low, high = wilson_interval(hits, n)
            cells = [percent(hits / n), f"{100 * low:.1f}–{100 * high:.1f}"]
        print(f"| {what} | {cells[0]} | {cells[1]} | {remark} |")


if __name__ == "__main__":
    main()
