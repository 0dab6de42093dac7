"""Errors that are meant for people: what is wrong, where, and what to do. Scripts print them without a traceback."""


class OpnormError(Exception):
    """Base of every error that a user can cause and mend."""


class SettingsError(OpnormError, ValueError):
    """A value in an experiment file, or an argument, that cannot be used."""


class FileError(OpnormError):
    """A file that is missing, damaged, of another kind than expected, or that cannot be written."""


class TrainingError(OpnormError):
    """A training that cannot go on: NaN in the loss, or an interruption."""


class InterruptedTrainingError(TrainingError):
    """A training that was asked to stop, and left a checkpoint to go on from."""


class MemoryShortageError(OpnormError):
    """Too much for the memory of a GPU or of the machine at once; names what, and the setting to lower."""
