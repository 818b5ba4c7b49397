"""HOCON files to resolved trees in which every value knows its file, line and column."""

from tasker.document.entries import Entries
from tasker.document.files import Folder, OutsideFolderError
from tasker.document.limits import Limits
from tasker.document.loading import Document, Template, given
from tasker.document.reader import number_or_word
from tasker.document.surroundings import RUN_VARIABLES, Peek, Secrets, Variables
from tasker.document.values import (
    MASK,
    Array,
    Late,
    Object,
    OutputReference,
    Reference,
    RunReference,
    Scalar,
    Source,
    Span,
    Unknown,
    Value,
    plain,
)

__all__ = [
    "MASK",
    "RUN_VARIABLES",
    "Array",
    "Document",
    "Entries",
    "Folder",
    "Late",
    "Limits",
    "Object",
    "OutputReference",
    "OutsideFolderError",
    "Peek",
    "Reference",
    "RunReference",
    "Scalar",
    "Secrets",
    "Source",
    "Span",
    "Template",
    "Unknown",
    "Value",
    "Variables",
    "given",
    "number_or_word",
    "plain",
]
