"""One command from nothing to the bundled weights: speech, encoders, dataset, three stages, one file.

    python -m comfyui_emo.training.reproduce --work ~/emo-training --out avatar-128.safetensors

Every step leaves its file in the work folder and is skipped when that file is there; trainings go on from
their last checkpoint. So a run that was cut is started again with the same line. `--short` does the whole way
with a few steps each: a check of the code, not a model.
"""

import argparse
import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from ..models.avatar import AVATAR_APPEARANCE, avatar_config
from ..models.build import EmoNetworks, build_networks, channels_last
from ..models.checkpoints.emo import load_autoencoder, save_autoencoder, save_model
from ..models.voice_encoder import VoiceEncoderConfig, load_voice_encoder
from .appearance_training import train_appearance
from .autoencoder_training import train_autoencoder
from .avatars.speech import HELD_OUT_VOICES, TRAINING_VOICES
from .avatars.speech_corpus import CorpusSettings, SpeechCorpus, write_corpus
from .dataset import Dataset, DatasetSettings, VoiceFeatureTable, write_dataset
from .decoder_training import train_decoder, train_decoder_on_predictions
from .latent_reader import reader_settings
from .latent_weights import channel_weights
from .loop import LoopSettings
from .mouth_reader import train_mouth_reader
from .pictures import draw_pictures
from .record import code_version
from .stages import STAGES
from .trainer import compile_networks, load_parts, train_stage
from .voice_augmentation import AugmentationSettings
from .voice_features import write_voice_features
from .voice_pretraining import PretrainingSettings, pretrain

logger = logging.getLogger(__name__)

VOICE_AUGMENTATIONS = (AugmentationSettings(), AugmentationSettings.moderate())
SEEDS = {
    **{"pictures": 1, "images": 5, "clips": 6, "drawn": 7},
    **{"autoencoder": 11, "decoder": 12, "predictions": 13, "appearance": 15, "mouth_reader": 16},
    **{"stages": 21, "voice": 5},
}


@dataclass(frozen=True)
class Plan:
    """How much of everything; the defaults add up to what the bundled weights were trained with.

    They came about piece by piece: 14200 steps of the video stage with 8 latent channels and 40% of single
    images; grown to 16 channels, new ones starting from nothing (the autoencoder for 2200 steps on 9000
    other pictures, with momentum made orthogonal, which is not kept here; the video stage for 1250); then
    with weighted channels 7250 steps on 10000 image and 3000 clip records and 3650 on 24000 and 4500 that
    were new to them, with 65% of single images; 8800 on all of these, with speed, 40% of single images and
    clips that count most in their first frames; and, with `aligned_reference` from there on, 2500 half of
    whose batches were rolled on (`rolled_share`) and 3000 without, on 7000 and 3500 records that were new.
    From there on with momentum made orthogonal: 1700 (of which the mean of the weights before and after was
    kept), 500 on 10000 and 10000 new records and a voice encoder trained 3300 steps further, on twice as
    much speech; 500 with decoys in half of the batches, 250 of them with the appearance told; 250 with the
    code at ten times its size; 250 with 85% of images, 32 records of one frame, and decoys in 70% of the
    batches; 950 with 75% of images, decoys in 60%, and likeness; and 3450 on 4200 and 2800 records of new
    utterances, with 45% and then 20% of images and decoys in 40% and then 20%, the last 750 of them with the
    mouth. The decoder was trained 9000 of its steps on 21000 pictures of its own, with edges that count as
    their pixels do, and the last 1200 on 6000 others with sharpness. The plan has 16 channels and all of that
    from the start, but no rolled batches, and AdamW throughout.

    Attributes:
        speech_minutes, held_out_minutes: of synthetic speech.
        voice_steps: of the voice encoder's pre-training when its widely and its moderately varied part end.
        pictures: single avatars for the autoencoder.
        autoencoder_steps, decoder_steps: of 8 pictures, of the whole and then of the decoder alone.
        images, clips: records of the dataset.
        stage_steps: of the stages image, video and speed; a stage of 0 steps is left out. The speed stage was
            tried with 200: speeds of 0.2 and 1.2 then gave 0.48 and 0.64 degrees per frame, but the face lost
            0.7 dB (two held-out clips), so the bundled model learned speed in the video stage.
        sharpness_weight: of the decoder's steps, see `picture_terms`. With it the gradient energy of unseen
            avatars' eyes went from 0.80 to 0.91 of the truth, at the same PSNR.
        appearance_steps, mouth_reader_steps: of the appearance encoder and of the mouth reader, on the image
            records.
        decoy_share, likeness_weight, mouth_weight: of all stages, see `StageConfig`.
        drawn: image records with their pixels, for the decoder's last part.
        prediction_steps: of the decoder on what the networks of the last stage predict. With 600 of them
            single predictions came 0.27 dB nearer to the truth, but whole videos did not, and their eyes lost
            a quarter of their gradient energy: the bundled model is without it.
    """

    speech_minutes: float = 300.0
    held_out_minutes: float = 5.0
    voice_steps: tuple[int, int] = (1842, 7600)
    pictures: int = 45000
    autoencoder_steps: int = 7000
    decoder_steps: int = 18200
    sharpness_weight: float = 1.0
    images: int = 55200
    clips: int = 23800
    stage_steps: tuple[int, int, int] = (2600, 47900, 0)
    appearance_steps: int = 6000
    mouth_reader_steps: int = 3000
    decoy_share: float = 0.5
    likeness_weight: float = 2.5
    mouth_weight: float = 2.0
    drawn: int = 3000
    prediction_steps: int = 0


SHORT_PLAN = Plan(
    speech_minutes=0.3,
    held_out_minutes=0.1,
    voice_steps=(1, 2),
    pictures=16,
    autoencoder_steps=2,
    decoder_steps=2,
    images=8,
    clips=4,
    appearance_steps=2,
    mouth_reader_steps=2,
    stage_steps=(2, 2, 2),
    drawn=2,
    prediction_steps=2,
)


class Reproduction:
    """The steps in order, each with its file in the work folder."""

    def __init__(self, work: Path, plan: Plan, compiles: bool = False):
        self.work, self.plan, self.compiles = work, plan, compiles
        work.mkdir(parents=True, exist_ok=True)

    def speech(self) -> tuple[Path, Path]:
        """Training and held-out speech."""
        training, held_out = self.work / "speech.safetensors", self.work / "speech_held_out.safetensors"
        if not training.exists():
            write_corpus(training, CorpusSettings(self.plan.speech_minutes, TRAINING_VOICES))
        if not held_out.exists():
            write_corpus(held_out, CorpusSettings(self.plan.held_out_minutes, HELD_OUT_VOICES, least_s=5.5))
        return training, held_out

    def voice_encoder(self) -> Path:
        """The pre-trained voice encoder."""
        out, unfinished = (
            self.work / "voice_encoder.safetensors",
            self.work / "voice_encoder_unfinished.safetensors",
        )
        if not out.exists():
            training, held_out = map(SpeechCorpus.load, self.speech())
            checkpoint, config = self.work / "voice_encoder.ckpt", VoiceEncoderConfig()
            for steps, varied in zip(self.plan.voice_steps, VOICE_AUGMENTATIONS, strict=True):
                loop, settings = (
                    LoopSettings(steps, decay_share=0.6),
                    PretrainingSettings(augmentation=varied),
                )
                pretrain(training, held_out, unfinished, checkpoint, loop, settings, config, SEEDS["voice"])
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
        corpus = SpeechCorpus.load(self.speech()[0])
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
            corpus = SpeechCorpus.load(self.speech()[0])
            wanted = DatasetSettings(
                self.plan.drawn, 4, 1, in_a_row=False, seed=SEEDS["drawn"], keeps_pixels=True
            )
            write_dataset(drawn, corpus, channels_last(given), wanted)
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
