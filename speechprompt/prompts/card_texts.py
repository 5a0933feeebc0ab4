"""What a prompt answers with and how well, each in a sentence or two, of which its card is made."""

from __future__ import annotations

from speechprompt.prompts.config import Metrics, Tuning
from speechprompt.prompts.prompt import Prompt


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def accuracy_line(metrics: Metrics) -> str:
    """The figures that a prompt is judged by, in one sentence."""
    if "accuracy" not in metrics:
        return "It has not been measured"
    low, high = metrics["interval95"]
    further = []
    if "unweighted_recall" in metrics:
        further.append(f"mean recall of the classes {percent(metrics['unweighted_recall'])}")
    for slot, share in metrics.get("slot_accuracy", {}).items():
        further.append(f"{slot} {percent(share)}")
    if "slot_f1" in metrics:
        further.append(f"F1 of single slots {percent(metrics['slot_f1'])}")
    if "slot_character_error_rate" in metrics:
        further.append(
            f"character error rate of their values {percent(metrics['slot_character_error_rate'])}"
        )
    for name in ("f1", "macro_f1", "equal_error_rate"):
        if name in metrics:
            figure = percent(metrics[name])  # type: ignore[literal-required]
            further.append(f"{name.replace('_', ' ').replace('f1', 'F1')} {figure}")
    if "character_error_rate" in metrics:
        further.append(f"character error rate {percent(metrics['character_error_rate'])}")
        further.append(f"word error rate {percent(metrics['word_error_rate'])}")
    whole = "" if "unweighted_recall" in metrics else " with every label right"
    return (
        f"**{percent(metrics['accuracy'])}** of {metrics['n']} utterances of the {metrics['split']} split{whole} "
        f"(95 % interval {percent(low)} to {percent(high)}; {', '.join(further)})"
    )


def strangers_line(prompt: Prompt) -> str:
    """The figures of recordings from sources of which nothing was learnt, in a sentence or two; "" without."""
    found = prompt.strangers
    if found is None:
        return ""
    low, high = found["interval95"]
    flagged = [
        f"{percent(share)} of the {name} answers"
        for name, share in (("right", found["right_flagged"]), ("wrong", found["wrong_flagged"]))
        if share is not None
    ]
    outside = ""
    if found["outside"]:
        share = percent(found["outside_admitted"])
        outside = f" Of {found['outside']} with none of its labels, {share} are told from them or flagged."
    return (
        f"Of strangers' recordings, from {found['sources']} sources of which nothing was learnt, "
        f"**{percent(found['right'])}** of {found['n']} (95 % interval {percent(low)} to {percent(high)}); "
        f"flagged are {' and '.join(flagged)}.{outside}"
    )


def seeds_line(tuning: Tuning) -> str:
    """How much the seed matters, of a prompt that was tuned with several (recipe.tune_task)."""
    return (
        f"{tuning['seeds']} seeds: {100 * tuning['mean']:.1f} ± {100 * tuning['deviation']:.1f} % on valid, "
        "the best is kept"
    )


def answer_text(prompt: Prompt) -> str:
    """What the LM is made to answer with."""
    if prompt.form.kind == "slots":
        slots = ", ".join(f"{slot} ({n})" for slot, n in prompt.form.slots.items())
        return f"one label for each of {len(prompt.form.slots)} slots: {slots}"
    if prompt.form.kind == "sequence":
        search = f"beam search, {prompt.form.beams} hypotheses" if prompt.form.beams > 1 else "greedy"
        return f"a sequence of up to {prompt.form.max_steps} of {len(prompt.labels)} labels ({search})"
    return f"one of {len(prompt.labels)} labels"


def calibration_text(prompt: Prompt) -> str:
    """How far scores can be believed, and how well the flag tells right answers from wrong ones."""
    found = prompt.calibration
    if not found:
        return "The scores of this prompt are not calibrated, and no answer is flagged."
    flatters = " The same split chose the step of the tuning, which flatters a little."
    shares = [
        f"{percent(share)} of the {name} answers"
        for name, share in (("right", found["right_flagged"]), ("wrong", found["wrong_flagged"]))
        if share is not None
    ]
    how = f"Label logits are divided by {found['temperature']:g}"
    if "slope" in found:
        how = f"The log-odds of a whole answer's score are {found['slope']:g} times those of the search's"
        how += f" {found.get('offset', 0.0):+g}"
    if "negatives" in found:
        shares.append(
            f"{percent(found['negatives_flagged'])} of {found['negatives']} recordings of none of the labels"
        )
    judged = [
        f"of {what} below {found[name]:.4g}"  # type: ignore[literal-required]
        for name, what in (("speech", "speech"), ("language", "the task's languages"))
        if name in found
    ]
    labels = [f"of {label} below {least:.4g}" for label, least in found.get("labels", {}).items()]
    also = [f"those {' and '.join(labels)}"] if labels else []
    also += [f"recordings with one {' or '.join(judged)}"] if judged else []
    return (
        f"{how}, fitted on the {found['n']} utterances of the "
        f"{found['split']} split: the expected calibration error went from {percent(found['error_before'])} to "
        f"{percent(found['error_after'])}. Answers that score below {found['threshold']:.4g} are flagged as perhaps "
        f"none of the labels{''.join(f', and {one}' for one in also)}: there, "
        f"{' and '.join(shares)}."
        f"{flatters if found['split'] == 'valid' else ''}"
    )
