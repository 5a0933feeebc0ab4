"""Tiny trees of the true layouts of the corpora: tones as recordings, true names of files and columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import soundfile

from speechprompt.data.corpora import accentdb, iemocap, reprogramming, speech_commands, voxforge

RATE = 16_000


def tone(path: Path, pitch: int, seconds: float = 0.4, rate: int = RATE) -> None:
    """A tone of one of some pitches in faint noise: what tells the labels of the trees apart."""
    t = np.arange(round(seconds * rate)) / rate
    seed = sum(map(ord, path.as_posix()))
    noise = 0.02 * np.random.default_rng(seed).standard_normal(len(t))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 200 * 1.5 ** (pitch % 6) * t) + noise, rate)


def write(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def speech_commands_names() -> dict[str, list[str]]:
    """Names of recordings by the split that their hash says."""
    found: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for i in range(200):
        name = f"{i * 7919:08x}_nohash_0.wav"
        found[speech_commands.hashed_split(name)].append(name)
    return found


def speech_commands_v1(root: Path) -> None:
    names = speech_commands_names()
    main, tests = root / "speech_commands_v0.01", root / "speech_commands_test_set_v0.01"
    for i, word in enumerate((*speech_commands.WORDS, "bed", "happy")):
        for name in names["train"][:10] + names["valid"][:1] + names["test"][:1]:
            tone(main / word / name, i)
    for name in ("running_tap.wav", "white_noise.wav"):
        tone(main / "_background_noise_" / name, 5, 2.0)
    for i, word in enumerate((*speech_commands.WORDS, "_unknown_", "_silence_")):
        tone(tests / word / f"{i}.wav", i)


def speech_commands_v2(root: Path) -> None:
    names = speech_commands_names()
    main = root / "speech_commands_v0.02"
    words = (*speech_commands.WORDS, "bed")
    for i, word in enumerate(words):
        for name in names["train"][:10] + names["valid"][:1] + names["test"][:1]:
            tone(main / word / name, i)
    tone(main / "_background_noise_" / "running_tap.wav", 5, 2.0)
    write(main / "validation_list.txt", [f"{word}/{names['valid'][0]}" for word in words])
    write(main / "testing_list.txt", [f"{word}/{names['test'][0]}" for word in words])


def grabo(root: Path) -> None:
    for command in (1, 2, 10):
        for take in range(1, 9):
            tone(root / "speakers" / "pp2" / "spchdatadir" / f"recording{command}" / f"{take}.wav", command)


def lithuanian_commands(root: Path) -> None:
    elsewhere = "/home/somebody/lt_speech_commands/dataset"
    for name, takes in (("train_limit20", 3), ("dev_full", 1), ("test_full", 1)):
        rows = ["filename\tlabel"]
        for i, label in enumerate(reprogramming.LITHUANIAN[:13]):
            for take in range(takes):
                tone(root / "dataset" / label / f"{take}_{name}_nohash_0.wav", i)
                rows.append(f"{elsewhere}/{label}/{take}_{name}_nohash_0.wav\t{label}")
        tone(root / "dataset" / "du" / f"{name}_nohash_0.wav", 4)
        rows.append(f"{elsewhere}/du/{name}_nohash_0.wav\tunknown")
        write(root / "LT-SCR" / f"{name}.csv", rows)
    noises = [f"{elsewhere}/_background_noise_/{i}.wav\tsilence" for i in range(24)]
    for i in range(24):
        tone(root / "dataset" / "_background_noise_" / f"{i}.wav", 5)
    write(root / "LT-SCR" / "noise_full.csv", ["filename\tlabel", *noises])


def arabic_commands(root: Path) -> None:
    for name, takes in (("train_full", 3), ("dev_full", 1), ("test_full", 1)):
        rows = ["filename\tlabel"]
        for i, (letter, word) in enumerate(reprogramming.ARABIC.items()):
            for take in range(takes):
                file = (
                    f"{letter}_{take}{name}.wav"
                    if letter.isdigit()
                    else f"{letter}_{word.title()}{take}{name}.wav"
                )
                folder = "numbers" if letter.isdigit() else "commands"
                tone(root / folder / file, i, rate=8000 if letter.isdigit() else 48_000)
                rows.append(f"/home/somebody/AR_SpeechCommands/{folder}/{file}\t{letter}")
        write(root / f"{name}.csv", rows)


def dysarthric_commands(root: Path) -> None:
    for name, takes in (("train_full", range(8)), ("test_full", range(8, 10))):
        rows = ["filename\tlabel"]
        for command in range(1, 20):
            for take in takes:
                file = f"D_SPK1/{command:02}/D_SPK1_c{command} ({take}).wav"
                tone(root / "dysarthria_zh_command" / file, command)
                rows.append(f"/home/somebody/dysarthria_zh_command/{file}\t{command:02}")
        write(root / "Datasets" / "DM-SCR" / f"{name}.csv", rows)


def fluent_commands(root: Path) -> None:
    intents = (("activate", "lights", "kitchen"), ("increase", "volume", "none"), ("bring", "shoes", "none"))
    for split, takes in (("train", 4), ("valid", 2), ("test", 2)):
        rows = [",path,speakerId,transcription,action,object,location"]
        for i, intent in enumerate(intents):
            for take in range(takes):
                file = f"wavs/speakers/ab{split}/{i}{take}.wav"
                tone(root / file, i)
                rows.append(f'{len(rows) - 1},{file},ab{split},"Well, do it",{",".join(intent)}')
        write(root / "data" / f"{split}_data.csv", rows)


def voxforge_tree(root: Path) -> None:
    for i, language in enumerate(voxforge.LABELS):
        for speaker in ("ann-2008", "bob-2009"):
            main = root / "downloads" / language / "Trunk" / "Audio" / "Main" / "16kHz_16bit"
            for take in range(4):
                tone(main / speaker / "wav" / f"{language}-{take}.wav", i)


def asvspoof2019(root: Path) -> None:
    for part, kind in (("train", "trn"), ("dev", "trl"), ("eval", "trl")):
        rows = []
        for i in range(8):
            name, label = f"LA_{part[0].upper()}_{i:07}", "bonafide" if i % 2 else "spoof"
            tone(root / "LA" / f"ASVspoof2019_LA_{part}" / "flac" / f"{name}.flac", i % 2)
            rows.append(f"LA_0079 {name} - {'-' if i % 2 else 'A01'} {label}")
        write(root / "LA" / "ASVspoof2019_LA_cm_protocols" / f"ASVspoof2019.LA.cm.{part}.{kind}.txt", rows)


def iemocap_tree(root: Path) -> None:
    for number in range(1, 6):
        session, dialog = root / f"Session{number}", f"Ses0{number}F_impro01"
        rows = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"]
        for i, label in enumerate((*iemocap.LABELS, "exc", "xxx") * 2):
            name = f"{dialog}_F{i:03}"
            tone(session / "sentences" / "wav" / dialog / f"{name}.wav", i % 6)
            rows += [f"[{i}.2901 - {i + 1}.2360]\t{name}\t{label}\t[2.5, 2.5, 2.5]", "C-E2:\tNeutral;\t()"]
        write(session / "dialog" / "EmoEvaluation" / f"{dialog}.txt", rows)


def accentdb_tree(root: Path) -> None:
    for i, label in enumerate(accentdb.LABELS):
        for take in range(9):
            tone(root / "data" / label / "speaker_01" / f"{label}_s01_{take:03}.wav", i)


def easycall_tree(root: Path) -> None:
    for i, speaker in enumerate(("f01", "m01", "fc01")):
        for take in range(14):
            tone(root / "EasyCall" / speaker / "Sessione_01" / f"{speaker}_01_{take}_Apri.wav", i)
    tone(root / "EasyCall" / "f01" / "Sessione_01" / "short.wav", 0, 0.05)


def mustard_tree(root: Path) -> None:
    shows = ("BBT", "FRIENDS", "GOLDENGIRLS")
    facts = {}
    for i in range(45):
        tone(root / "utterances_final" / f"1_{i}.wav", i % 2)
        facts[f"1_{i}"] = {"utterance": "Oh.", "speaker": "A", "show": shows[i % 3], "sarcasm": bool(i % 2)}
    write(root / "sarcasm_data.json", [json.dumps(facts)])


def mustardpp(root: Path) -> None:
    rows = ["SCENE,KEY,SENTENCE,END_TIME,SPEAKER,SHOW,Sarcasm,Sarcasm_Type"]
    for i in range(30):
        tone(root / "final_utterance_videos" / f"1_{i}_u.wav", i % 2)
        rows += [f'1_{i},1_{i}_c_00,"Well, so",00:01,A,BBT,,', f"1_{i},1_{i}_u,Oh,00:02,A,BBT,{i % 2}.0,PRO"]
    write(root / "mustard++_text.csv", rows)


def voxceleb1(root: Path) -> None:
    rows, splits = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"], []
    for i, (speaker, gender) in enumerate((("id10001", "m"), ("id10002", "f"))):
        rows.append(f"{speaker}\tSomebody\t{gender}\tIreland\tdev")
        for take in range(8):
            name = f"{speaker}/1zcIwhmdeo4/{take:05}.wav"
            tone(root / "wav" / name, i)
            splits.append(f"{1 if take < 4 else 2 if take < 6 else 3} {name}")
    write(root / "vox1_meta.csv", rows)
    write(root / "iden_split.txt", splits)


def freesound_vad(root: Path) -> None:
    for part in ("training", "validation", "testing"):
        for i, (label, folder) in enumerate(
            (("speech", "speech/bed"), ("background", "freesound/Wind noise"))
        ):
            rows = []
            for take in range(4):
                file = f"{folder}/{part}{take}.wav"
                tone(root / file, i, 1.0)
                fact = {"audio_filepath": f"/elsewhere/data/{file}", "duration": 0.63, "label": label}
                rows.append(json.dumps(fact | {"text": "_", "offset": 0.2}))
            write(root / "manifest" / f"balanced_{label}_{part}_manifest.json", rows)


def esc50_tree(root: Path) -> None:
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for i, label in enumerate(("dog", "rooster", "sea_waves")):
        for fold in range(1, 6):
            for take in ("A", "B"):
                file = f"{fold}-10003{fold}-{take}-{i}.wav"
                tone(root / "audio" / file, i, rate=44_100)
                rows.append(f"{file},{fold},{i},{label},False,10003{fold},{take}")
    write(root / "meta" / "esc50.csv", rows)


def librispeech(root: Path) -> None:
    texts = ("GO IN", "ON", "A DOG")
    for part, speaker in (("train-clean-100", 19), ("dev-clean", 84), ("test-clean", 61)):
        folder = root / "LibriSpeech" / part / str(speaker) / "198"
        rows = []
        for i in range(6):
            tone(folder / f"{speaker}-198-{i:04}.flac", i % 3)
            rows.append(f"{speaker}-198-{i:04} {texts[i % 3]}")
        write(folder / f"{speaker}-198.trans.txt", rows)


def audio_snips(root: Path) -> None:
    questions = (
        ("play", "blue", "moon", "O B-album I-album", "PlayMusic"),
        ("rate", "it", "five", "O O B-rating", "RateBook"),
    )
    rows = []
    for split, speaker in (("train", "Ivy"), ("valid", "Amy"), ("test", "Emma")):
        for i in range(6):
            *words, tags, intent = questions[i % 2]
            name = f"{speaker}-snips-{split}-{i}"
            tone(root / split / f"{name}.wav", i % 2)
            rows.append(f"{name} BOS {' '.join(words)} EOS\tO {tags} {intent}")
    write(root / "all.iob.snips.txt", rows)


TREES: dict[str, Callable[[Path], None]] = {
    "speech_commands_v1": speech_commands_v1,
    "speech_commands_v2": speech_commands_v2,
    "grabo": grabo,
    "lithuanian_commands": lithuanian_commands,
    "arabic_commands": arabic_commands,
    "dysarthric_commands": dysarthric_commands,
    "fluent_commands": fluent_commands,
    "voxforge": voxforge_tree,
    "asvspoof2019": asvspoof2019,
    "iemocap": iemocap_tree,
    "accentdb": accentdb_tree,
    "easycall": easycall_tree,
    "mustard": mustard_tree,
    "mustard_independent": mustard_tree,
    "mustardpp": mustardpp,
    "voxceleb1": voxceleb1,
    "freesound_vad": freesound_vad,
    "esc50": esc50_tree,
    "librispeech": librispeech,
    "audio_snips": audio_snips,
}
