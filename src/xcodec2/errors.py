"""The errors this package raises on purpose."""


class XCodec2Error(ValueError):
    """Something a caller gave cannot be used; the message says what is wrong and what to do about
    it.
    """


class AudioError(XCodec2Error):
    """Audio that cannot be read, used or written."""


class CodesError(XCodec2Error):
    """Codes, or a file of codes, that cannot be used or written."""


class CheckpointError(XCodec2Error):
    """Model weights or their configuration that do not fit."""


class RecipeError(XCodec2Error):
    """A recipe that names, lacks or holds something wrong."""


class TrainingError(XCodec2Error):
    """Data or a state that cannot be trained with."""


class UndefinedError(XCodec2Error):
    """A measure that has no value for these waveforms; the message is the reason."""


class EvaluatorError(XCodec2Error):
    """A trained model of the evaluation that cannot be loaded here; the message says how to get
    it.
    """


class LlasaError(XCodec2Error):
    """A language model, tokenizer, rows or recipe that cannot be used, or a generation that
    failed.
    """


class TranscriptionError(XCodec2Error):
    """A CTC model over codes that cannot be used, or data that it cannot be trained on."""


class MissingExtraError(XCodec2Error):
    """An optional library that is not installed; the message says how to install it."""
