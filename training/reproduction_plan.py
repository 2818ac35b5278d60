"""How much of everything the bundled weights were trained with, and the seeds of it."""

from dataclasses import dataclass

SEEDS = {
    **{"pictures": 1, "images": 5, "clips": 6, "drawn": 7},
    **{"autoencoder": 11, "decoder": 12, "predictions": 13, "appearance": 15, "mouth_reader": 16},
    **{"stages": 21, "voice": 5},
}


@dataclass(frozen=True)
class Plan:
    """How much of everything; the defaults add up to what the bundled weights were trained with.

    They came about piece by piece: 14200 steps of the video stage with 8 latent channels and 40% of single
    images; grown to 16 channels, new ones starting from nothing (the autoencoder for 2200 steps on 9000 other
    pictures, with momentum made orthogonal, which is not kept here; the video stage for 1250); then with
    weighted channels 7250 steps on 10000 image and 3000 clip records and 3650 on 24000 and 4500 that were new
    to them, with 65% of single images; 8800 on all of these, with speed, 40% of single images and clips that
    count most in their first frames; and, with `aligned_reference` from there on, 2500 half of whose batches
    were rolled on (`rolled_share`) and 3000 without, on 7000 and 3500 records that were new. From there on
    with momentum made orthogonal: 1700 (of which the mean of the weights before and after was kept), 500 on
    10000 and 10000 new records and a voice encoder trained 3300 steps further, on twice as much speech; 500
    with decoys in half of the batches, 250 of them with the appearance told; 250 with the code at ten times
    its size; 250 with 85% of images, 32 records of one frame, and decoys in 70% of the batches; 950 with 75%
    of images, decoys in 60%, and likeness; and 3450 on 4200 and 2800 records of new utterances, with 45% and
    then 20% of images and decoys in 40% and then 20%, the last 750 of them with the mouth; and 2770 with the
    mouth throughout, on 1600 and 1200 records more, the last 1520 of which heard a voice encoder trained 3050
    steps further with drawn speakers. The decoder was trained 9000 of its steps on 21000 pictures of its own,
    with edges that count as their pixels do, and the last 1200 on 6000 others with sharpness. The plan has 16
    channels and all of that from the start, but no rolled batches, and AdamW throughout.

    Attributes:
        speech_minutes: of synthetic speech for the records.
        encoder_speech_minutes, held_out_minutes: of speech for the voice encoder, to learn and to test it.
        voice_steps: of the voice encoder's pre-training when its widely and its moderately varied part end.
            The last 3050, which were the first with drawn speakers, took what a linear readout of the encoder
            tells of the opening of held-out voices from a correlation of 0.917 to 0.933.
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
    encoder_speech_minutes: float = 330.0
    held_out_minutes: float = 5.0
    voice_steps: tuple[int, int] = (1842, 10650)
    pictures: int = 45000
    autoencoder_steps: int = 7000
    decoder_steps: int = 18200
    sharpness_weight: float = 1.0
    images: int = 56800
    clips: int = 25000
    stage_steps: tuple[int, int, int] = (2600, 50670, 0)
    appearance_steps: int = 6000
    mouth_reader_steps: int = 3000
    decoy_share: float = 0.5
    likeness_weight: float = 2.5
    mouth_weight: float = 3.0
    drawn: int = 3000
    prediction_steps: int = 0


SHORT_PLAN = Plan(
    speech_minutes=0.3,
    encoder_speech_minutes=0.3,
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
