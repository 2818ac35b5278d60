"""One command from nothing to the bundled weights: speech, encoders, dataset, three stages, one file.

    python -m comfyui_emo.training.reproduce --work ~/emo-training --out avatar-128.safetensors

Every step leaves its file in the work folder and is skipped when that file is there; trainings go on from
their last checkpoint. So a run that was cut is started again with the same line. `--short` does the whole way
with a few steps each: a check of the code, not a model.
"""

import argparse
import json
import logging
from dataclasses import asdict, replace
from pathlib import Path

import torch

from ..models.avatar import AVATAR_APPEARANCE, avatar_config
from ..models.build import EmoNetworks, build_networks, channels_last
from ..models.checkpoints.emo import load_autoencoder, save_autoencoder, save_model
from ..models.voice_encoder import VoiceEncoderConfig, load_voice_encoder
from .appearance_training import train_appearance
from .autoencoder_training import train_autoencoder
from .avatars.speech import ENCODER_VOICES, HELD_OUT_VOICES, TRAINING_VOICES
from .avatars.speech_corpus import CorpusSettings, SpeechCorpus, write_corpus
from .dataset import Dataset, DatasetSettings, VoiceFeatureTable, write_dataset
from .decoder_training import train_decoder, train_decoder_on_predictions
from .latent_reader import reader_settings
from .latent_weights import channel_weights
from .loop import LoopSettings
from .mouth_reader import train_mouth_reader
from .pictures import draw_pictures
from .record import code_version
from .reproduction_plan import SEEDS, SHORT_PLAN, Plan
from .stages import STAGES
from .trainer import compile_networks, load_parts, train_stage
from .voice_augmentation import AugmentationSettings
from .voice_features import write_voice_features
from .voice_pretraining import PretrainingSettings, pretrain

logger = logging.getLogger(__name__)

VOICE_AUGMENTATIONS = (AugmentationSettings(), AugmentationSettings.moderate())


class Reproduction:
    """The steps in order, each with its file in the work folder."""

    def __init__(self, work: Path, plan: Plan, compiles: bool = False):
        self.work, self.plan, self.compiles = work, plan, compiles
        work.mkdir(parents=True, exist_ok=True)

    def speech(self, name: str, minutes: float, voices: tuple[str, ...], least_s: float = 2.5) -> Path:
        """A corpus of so many minutes of such voices."""
        path = self.work / f"speech_{name}.safetensors"
        if not path.exists():
            write_corpus(path, CorpusSettings(minutes, voices, least_s=least_s))
        return path

    def records_speech(self) -> SpeechCorpus:
        """What the avatars of the records say."""
        return SpeechCorpus.load(self.speech("records", self.plan.speech_minutes, TRAINING_VOICES))

    def voice_encoder(self) -> Path:
        """The pre-trained voice encoder."""
        out, unfinished = (
            self.work / "voice_encoder.safetensors",
            self.work / "voice_encoder_unfinished.safetensors",
        )
        if not out.exists():
            heard = self.speech("encoder", self.plan.encoder_speech_minutes, ENCODER_VOICES)
            held_out = self.speech("held_out", self.plan.held_out_minutes, HELD_OUT_VOICES, least_s=5.5)
            corpora = SpeechCorpus.load(heard), SpeechCorpus.load(held_out)
            checkpoint, config = self.work / "voice_encoder.ckpt", VoiceEncoderConfig()
            for steps, varied in zip(self.plan.voice_steps, VOICE_AUGMENTATIONS, strict=True):
                loop, settings = (
                    LoopSettings(steps, decay_share=0.6),
                    PretrainingSettings(augmentation=varied),
                )
                pretrain(*corpora, unfinished, checkpoint, loop, settings, config, SEEDS["voice"])
            unfinished.rename(out)
        return out

    def autoencoder(self) -> Path:
        """The trained autoencoder, frozen for good: latents of the dataset depend on it."""
        out, pictures = self.work / "autoencoder.safetensors", self.work / "pictures.safetensors"
        if not pictures.exists():
            draw_pictures(pictures, self.plan.pictures, SEEDS["pictures"])
        if not out.exists():
            settings = LoopSettings(self.plan.autoencoder_steps, weight_decay=1e-3)
            checkpoint = self.work / "autoencoder.ckpt"
            trained = train_autoencoder([pictures], checkpoint, settings, seed=SEEDS["autoencoder"])
            save_autoencoder(out, trained, {"steps": settings.steps, "pictures": self.plan.pictures})
        return out

    def decoder(self) -> Path:
        """The autoencoder with its decoder trained on; the encoder is the same."""
        out = self.work / "autoencoder_decoder.safetensors"
        if not out.exists():
            settings = LoopSettings(self.plan.decoder_steps, learning_rate=1.2e-3, weight_decay=1e-3)
            given = load_autoencoder(self.autoencoder())
            pictures = [self.work / "pictures.safetensors"]
            sharpness, checkpoint = self.plan.sharpness_weight, self.work / "decoder.ckpt"
            trained = train_decoder(
                given, pictures, checkpoint, settings, seed=SEEDS["decoder"], sharpness_weight=sharpness
            )
            save_autoencoder(out, trained, {"steps": settings.steps, "pictures": self.plan.pictures})
        return out

    def datasets(self) -> tuple[Dataset, Dataset]:
        """Image records and clip records with the features of their voices."""
        features = self.work / "voice_features.safetensors"
        corpus = self.records_speech()
        if not features.exists():
            write_voice_features(features, corpus, load_voice_encoder(self.voice_encoder()))
        decoys = self.plan.decoy_share > 0
        wanted = {
            "images": DatasetSettings(self.plan.images, 4, 1, False, SEEDS["images"], decoys=decoys),
            "clips": DatasetSettings(self.plan.clips, 24, 2, True, SEEDS["clips"], decoys=decoys),
        }
        table = VoiceFeatureTable(features)
        datasets = []
        for name, settings in wanted.items():
            path = self.work / f"{name}.safetensors"
            if not path.exists():
                autoencoder = channels_last(load_autoencoder(self.autoencoder()))
                write_dataset(path, corpus, autoencoder, settings)
            datasets.append(Dataset([path], table))
        return datasets[0], datasets[1]

    def stages(self) -> Path:
        """The encoder and reader of latents, then the three stages in turn; the last one's checkpoint."""
        images, clips = self.datasets()
        appearance = self.work / "appearance.ckpt"
        learning = reader_settings(self.plan.appearance_steps)
        train_appearance(images, AVATAR_APPEARANCE, appearance, learning, SEEDS["appearance"])
        learning = reader_settings(self.plan.mouth_reader_steps)
        reader = train_mouth_reader(images, self.work / "mouth_reader.ckpt", learning, SEEDS["mouth_reader"])
        weights = channel_weights(load_autoencoder(self.autoencoder()))
        before = appearance
        for (name, stage), steps in zip(STAGES.items(), self.plan.stage_steps, strict=True):
            if steps == 0:
                continue
            checkpoint = self.work / f"stage_{name}.ckpt"
            torch.manual_seed(SEEDS["stages"])
            networks = build_networks(avatar_config())
            load_parts(networks, before)
            if self.compiles:
                compile_networks(networks)
            settings = LoopSettings(steps, stage.learning_rate)
            data = None if name == "image" else clips
            held_to = ("decoy_share", "likeness_weight", "mouth_weight")
            stage = replace(stage, **{setting: getattr(self.plan, setting) for setting in held_to})
            train_stage(networks, stage, images, data, weights, checkpoint, settings, SEEDS["stages"], reader)
            before = checkpoint
        return before

    def decoder_on_predictions(self) -> Path:
        """The autoencoder with its decoder trained on what the networks of the last stage predict."""
        out, drawn = self.work / "autoencoder_predictions.safetensors", self.work / "drawn.safetensors"
        given, stage, steps = load_autoencoder(self.decoder()), self.stages(), self.plan.prediction_steps
        if not drawn.exists():
            wanted = DatasetSettings(
                self.plan.drawn, 4, 1, in_a_row=False, seed=SEEDS["drawn"], keeps_pixels=True
            )
            write_dataset(drawn, self.records_speech(), channels_last(given), wanted)
        if not out.exists():
            networks = channels_last(build_networks(avatar_config()))
            load_parts(networks, stage)
            images = Dataset([drawn], VoiceFeatureTable(self.work / "voice_features.safetensors"))
            pictures, checkpoint = [self.work / "pictures.safetensors"], self.work / "predictions.ckpt"
            settings = LoopSettings(steps, learning_rate=5e-4, weight_decay=1e-3, decay_share=0.6)
            trained = train_decoder_on_predictions(
                given, networks, images, pictures, checkpoint, settings, seed=SEEDS["predictions"]
            )
            save_autoencoder(out, trained, {"steps": steps, "images": self.plan.drawn})
        return out

    def bundle(self, out: Path) -> None:
        """One file of all networks, with its training record."""
        record = {"plan": asdict(self.plan), "seeds": SEEDS, "commit": code_version()}
        autoencoder = self.decoder_on_predictions() if self.plan.prediction_steps else self.decoder()
        bundle(self.stages(), autoencoder, self.voice_encoder(), out, record)


def bundle(stage: Path, autoencoder: Path, voice_encoder: Path, out: Path, record: dict) -> None:
    """Write the networks of a stage's checkpoint, an autoencoder and a voice encoder to one file."""
    encoder = load_voice_encoder(voice_encoder)
    config = replace(avatar_config(), voice_encoder=encoder.config)
    networks: EmoNetworks = build_networks(config)
    load_parts(networks, stage)
    networks.autoencoder = load_autoencoder(autoencoder)
    networks.voice_encoder = encoder
    save_model(out, networks, record)
    logger.info("%s: %.1f MB, %s", out, out.stat().st_size / 1e6, json.dumps(record))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for data and checkpoints (about 8 GB)"
    )
    parser.add_argument("--out", type=Path, required=True, help="the model's file")
    parser.add_argument(
        "--short", action="store_true", help="a few steps of everything: checks the code only"
    )
    parser.add_argument("--compile", action="store_true", help="faster steps after minutes of compiling")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    plan = SHORT_PLAN if arguments.short else Plan()
    Reproduction(arguments.work, plan, arguments.compile).bundle(arguments.out)


if __name__ == "__main__":
    main()
